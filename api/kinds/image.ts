// Images: from the bytes of a file to the pixels that a network was trained on, as a UINT8 tensor
// of shape [1, height, width, 3].
//
// The decoder handles everything a file may hold: it applies the EXIF orientation, puts transparent
// parts on white, turns grey, CMYK and 16-bit images into 8-bit sRGB, and takes the first picture of an
// animation. SVG and every other format that is not accepted is shut off in the library itself.

import os from 'node:os';
// biome-ignore lint/style/noRestrictedImports: this file is the door to sharp.
import sharp, { type Sharp } from 'sharp';
import { coerceError, ScorelineError } from '../../shared/errors.js';
import type { ImageInput } from '../../shared/manifest.js';
import type { Model } from '../../shared/models.js';
import type { Tensor } from '../../shared/tensors.js';
import type { Ending } from '../ending.js';
import type { InputKind, RawInput } from './kind.js';
import { makeTurns } from './turns.js';

const formats = 'JPEG, PNG, WebP, GIF, TIFF or AVIF';

sharp.block({ operation: ['VipsForeignLoad'] });
sharp.unblock({
  operation: [
    'VipsForeignLoadJpeg',
    'VipsForeignLoadPng',
    'VipsForeignLoadWebp',
    'VipsForeignLoadNsgif',
    'VipsForeignLoadTiff',
    'VipsForeignLoadHeif',
  ],
});
// One thread an image. Other requests use the other cores.
sharp.concurrency(1);
sharp.cache(false);

export function makeImageKind(limits: { imagePixelsMax: number; imagesMax: number }) {
  // As many decodes as cores: more would only slow each other, and everything else, down.
  const takeTurn = makeTurns(os.availableParallelism());
  return {
    jsonOpening: '{',

    fromJson(input: unknown): RawInput[] {
      const entries = imageEntries(input);
      if (entries.length === 0) {
        throw new ScorelineError(
          'input_missing',
          'Expected at least one image in "input"; it is empty.',
        );
      }
      if (entries.length > limits.imagesMax) {
        throw new ScorelineError(
          'too_many_inputs',
          `Expected at most ${limits.imagesMax} images in a request; got ${entries.length}. Send more requests: they are batched by themselves.`,
        );
      }
      return entries.map(([name, value]) => ({ name, value: decodeBase64(name, value) }));
    },

    fromBytes: (bytes: Buffer, { name }: { name?: string } = {}): RawInput => ({
      name,
      value: bytes,
    }),

    async prepare(input: RawInput, { manifest }: Model, { signal }: Ending): Promise<Tensor[]> {
      if (manifest.input.kind !== 'image')
        throw new Error('An image for a text model. This is a bug.');
      const wanted = manifest.input;
      const bytes = input.value as Buffer;
      if (bytes.byteLength === 0) throw unreadable(input, 'it is empty');
      if (looksLikeMarkup(bytes)) {
        throw new ScorelineError(
          'image_unsupported',
          `Expected ${named(input)}a ${formats} image; got SVG, XML or HTML. Convert it to PNG first.`,
        );
      }
      const data = await takeTurn(
        () => decode(input, bytes, wanted, limits.imagePixelsMax),
        signal,
      );
      return [
        { name: 'input', datatype: 'UINT8', shape: [1, wanted.height, wanted.width, 3], data },
      ];
    },
  } satisfies InputKind;
}

/** @throws ScorelineError that says what is wrong with the image */
async function decode(
  input: RawInput,
  bytes: Buffer,
  wanted: ImageInput,
  pixelsMax: number,
): Promise<Buffer> {
  try {
    return await toPixels(bytes, wanted, pixelsMax);
  } catch (error) {
    throw imageError(input, coerceError(error), pixelsMax);
  }
}

/**
 * The pixels of an image as the network takes them: height × width × 3, RGB, 8 bits. Cuts the
 * centred square where the manifest says so, and resizes with a bicubic kernel.
 *
 * Colour profiles are ignored, as they were in training; CMYK has no other way to RGB than one.
 */
export async function toPixels(
  bytes: Buffer,
  input: ImageInput,
  pixelsMax: number,
): Promise<Buffer> {
  const limits = { limitInputPixels: pixelsMax, failOn: 'error' } as const;
  const { autoOrient, space } = await sharp(bytes, limits).metadata();
  const region = input.cropFraction
    ? centredSquare(autoOrient, input.cropFraction)
    : wholeOf(autoOrient);
  const square = sharp(bytes, { ...limits, ignoreIcc: space !== 'cmyk' })
    .autoOrient()
    .extract(region)
    .flatten({ background: '#ffffff' })
    .toColourspace('srgb');
  return isEnlarged(region, input) ? enlarge(square, region, input) : resize(square, input);
}

interface Region {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** The square of the original EfficientNet evaluation, rounded as there. */
function centredSquare(
  { width, height }: { width: number; height: number },
  fraction: number,
): Region {
  const side = Math.max(1, Math.floor(Math.min(width, height) * fraction));
  return {
    left: Math.floor((width - side + 1) / 2),
    top: Math.floor((height - side + 1) / 2),
    width: side,
    height: side,
  };
}

function wholeOf({ width, height }: { width: number; height: number }): Region {
  return { left: 0, top: 0, width, height };
}

/** Tiny images have no detail to shift, and padding would multiply their size. */
function isEnlarged(region: Region, { width, height }: ImageInput): boolean {
  const factors = [width / region.width, height / region.height];
  return factors.every((factor) => factor >= 1 && factor <= 16);
}

function resize(image: Sharp, { width, height }: ImageInput): Promise<Buffer> {
  return image
    .resize(width, height, { fit: 'fill', kernel: 'cubic', fastShrinkOnLoad: false })
    .raw({ depth: 'uchar' })
    .toBuffer();
}

/** How many pixels the kernel reaches beyond the edges; the edge pixels are repeated that often. */
const reach = 4;

/**
 * Enlarges by an affine transformation between the centres of the pixels, since libvips' resize
 * shifts an image that it enlarges by half a pixel (libvips/libvips#4841). This is a second pipeline, since
 * within one sharp would transform before it repeats the edges.
 */
async function enlarge(image: Sharp, region: Region, input: ImageInput): Promise<Buffer> {
  const [x, y] = [input.width / region.width, input.height / region.height];
  const raw = { depth: 'uchar' } as const;
  const padded = await image
    .extend({ top: reach, bottom: reach, left: reach, right: reach, extendWith: 'copy' })
    .raw(raw)
    .toBuffer({ resolveWithObject: true });
  const [left, top] = [Math.round(reach * x), Math.round(reach * y)];
  const large = await sharp(padded.data, { raw: padded.info })
    .affine([x, 0, 0, y], {
      odx: (x - 1) / 2 - (reach * x - left),
      ody: (y - 1) / 2 - (reach * y - top),
      interpolator: 'bicubic',
    })
    .raw(raw)
    .toBuffer({ resolveWithObject: true });
  return cutOut(large.data, large.info, { left, top, width: input.width, height: input.height });
}

/** The pixels of a region. */
function cutOut(
  pixels: Buffer,
  { width, channels }: { width: number; channels: number },
  region: Region,
): Buffer {
  const rowBytes = region.width * channels;
  const cut = Buffer.allocUnsafe(region.height * rowBytes);
  for (let row = 0; row < region.height; row++) {
    const start = ((region.top + row) * width + region.left) * channels;
    pixels.copy(cut, row * rowBytes, start, start + rowBytes);
  }
  return cut;
}

/** `{"name": "<base64>", …}`, or the base64 alone. */
function imageEntries(input: unknown): [name: string, value: unknown][] {
  if (typeof input === 'string') return [['image', input]];
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw new ScorelineError(
      'input_invalid',
      'Expected "input" to be {"<name>": "<base64 of an image>"}; got something else.',
    );
  }
  return Object.entries(input);
}

/** Base64 as clients send it: bare, in literal quotes, as Python prints it, or as a data URL. */
function decodeBase64(name: string, value: unknown): Buffer {
  if (typeof value !== 'string') {
    throw new ScorelineError(
      'input_invalid',
      `Expected the image ${show(name)} as a base64 text; got ${value === null ? 'null' : `a ${typeof value}`}.`,
    );
  }
  const bare = value
    .trim()
    .replace(/^b(?=['"])/, '')
    .replace(/^(['"])([\s\S]*)\1$/, '$2')
    .replace(/^data:[^,]{0,200};base64,/, '')
    .replace(/\s+/g, '');
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(bare) || bare.length % 4 === 1) {
    throw new ScorelineError(
      'base64_invalid',
      `Expected the image ${show(name)} as base64; it holds characters that base64 does not have, or is cut off.`,
    );
  }
  return Buffer.from(bare, 'base64');
}

function looksLikeMarkup(bytes: Buffer): boolean {
  return /^[\uFEFF\s]*<(\?xml|svg|!doctype|!--|html)/i.test(
    bytes.subarray(0, 512).toString('utf8'),
  );
}

function imageError(input: RawInput, error: Error, pixelsMax: number): ScorelineError {
  if (/pixel limit/i.test(error.message)) {
    return new ScorelineError(
      'image_too_large',
      `Expected ${named(input)}an image of at most ${pixelsMax} pixels; it has more. Scale it down: the network sees a small picture anyway.`,
      { cause: error },
    );
  }
  if (/unsupported image format/i.test(error.message)) {
    return unreadable(input, 'it is none of these, or damaged at its beginning', error);
  }
  return unreadable(input, 'it is damaged or cut off', error);
}

function unreadable(input: RawInput, reason: string, cause?: Error): ScorelineError {
  return new ScorelineError(
    'image_unreadable',
    `Expected ${named(input)}a ${formats} image; ${reason}.`,
    { cause },
  );
}

function named(input: RawInput): string {
  return input.name === undefined ? '' : `${show(input.name)} to be `;
}

/** A name as a client sent it, cut where it is long. */
function show(name: string): string {
  return JSON.stringify(name.slice(0, 60));
}
