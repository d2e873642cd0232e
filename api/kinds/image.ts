// Image inputs. Decodes a file to the pixels that the network was trained on: a UINT8 tensor of shape
// [1, height, width, 3].
//
// Decoding applies the EXIF orientation, puts transparent parts on white, converts grey, CMYK and
// 16-bit images to 8-bit sRGB, and takes the first frame of an animation. The decoders of all other
// formats, SVG included, are blocked in the library itself.

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
// One thread an image, because other requests use the other cores.
sharp.concurrency(1);
sharp.cache(false);

export function makeImageKind(limits: { imagePixelsMax: number; imagesMax: number }) {
  // At most one decode a core. More would slow down each other and everything else.
  const takeTurn = makeTurns(os.availableParallelism());
  return {
    jsonOpening: '{',

    fromJson(input: unknown): RawInput[] {
      const entries = imageEntries(input);
      if (entries.length === 0) {
        throw new ScorelineError(
          'input_missing',
          'Expected at least one image in "input"; got none.',
        );
      }
      if (entries.length > limits.imagesMax) {
        throw new ScorelineError(
          'too_many_inputs',
          `Expected at most ${limits.imagesMax} images in a request; got ${entries.length}. Send several requests: the service batches them.`,
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

/** @throws ScorelineError `image_too_large`, `image_unreadable` */
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
 * Returns the pixels that the network takes: height × width × 3, RGB, 8 bits. Crops the centred
 * square if the manifest sets `cropFraction`, then resizes with a bicubic kernel.
 *
 * Embedded colour profiles are ignored, as they were in training. CMYK is the exception, because only
 * a profile defines how it maps to RGB.
 * @param pixelsMax the most pixels that the file may have
 * @throws Error of sharp when the file cannot be decoded or has more pixels
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

/** The crop of the original EfficientNet evaluation, with the same rounding. */
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

/** Pixels by which the image is padded on each side, because the kernel reaches beyond the edges. */
const reach = 4;

/**
 * Enlarges by an affine transformation that maps pixel centres to pixel centres. The resize of libvips
 * shifts an enlarged image by half a pixel (libvips/libvips#4841). The transformation needs a second
 * pipeline: within one pipeline, sharp would transform before it repeats the edge pixels.
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

/**
 * Accepts `{"<name>": "<base64>", …}` or the base64 alone.
 * @throws ScorelineError `input_invalid`
 */
function imageEntries(input: unknown): [name: string, value: unknown][] {
  if (typeof input === 'string') return [['image', input]];
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw new ScorelineError(
      'input_invalid',
      'Expected "input" to be {"<name>": "<base64 of an image>"}; got another type.',
    );
  }
  return Object.entries(input);
}

/**
 * Accepts base64 in the forms that clients send: bare, in literal quotes, as Python prints bytes, or
 * as a data URL.
 * @throws ScorelineError `input_invalid`, `base64_invalid`
 */
function decodeBase64(name: string, value: unknown): Buffer {
  if (typeof value !== 'string') {
    throw new ScorelineError(
      'input_invalid',
      `Expected the image ${show(name)} to be a string of base64; got ${value === null ? 'null' : `a ${typeof value}`}.`,
    );
  }
  const bare = value
    .trim()
    .replace(/^b(?=['"])/, '')
    .replace(/^(['"])([\s\S]*)\1$/, '$2')
    .replace(/^data:[^,]{0,200};base64,/, '')
    // Only line breaks: a blank inside a line was a plus sign before a form or an address decoded it.
    .replace(/[ \t]*\r?\n[ \t]*/g, '');
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(bare) || bare.length % 4 === 1) {
    throw new ScorelineError(
      'base64_invalid',
      `Expected the image ${show(name)} to be base64; it contains other characters or is cut off.`,
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
      `Expected ${named(input)}an image of at most ${pixelsMax} pixels; it has more. Scale it down: the network sees a small version anyway.`,
      { cause: error },
    );
  }
  if (/unsupported image format/i.test(error.message)) {
    return unreadable(input, 'it has another format, or its beginning is damaged', error);
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

/** Quotes a client's name for an input, cut to 60 characters. */
function show(name: string): string {
  return JSON.stringify(name.slice(0, 60));
}
