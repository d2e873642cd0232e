// Image inputs. Decodes a file to the pixels that the network was trained on: a UINT8 tensor of shape
// [1, height, width, channels].

import { z } from 'zod';
import type { Configurations } from '../../shared/configuration/configuration.js';
import { coerceError, ScorelineError } from '../../shared/errors.js';
import { isJsonObject } from '../../shared/json-object.js';
import { type ImageInput, pixelShape } from '../../shared/manifest/image-input.js';
import { memoryLimitBytes } from '../../shared/process/memory-limit.js';
import { countProcessors } from '../../shared/process/processors.js';
import type { Model } from '../../shared/registry/models.js';
import { shown } from '../../shared/shown.js';
import type { Tensor } from '../../shared/tensors/tensors.js';
import type { Ending } from '../call/ending.js';
import { type Load, Turns } from '../turns.js';
import { decodeBase64 } from './base64.js';
import type { InputKind, RawInput } from './kind.js';
import { formatOf } from './pictures/formats.js';
import type { Picture } from './pictures/picture.js';

const formats = 'JPEG, PNG, WebP, GIF, TIFF or AVIF';
const mediaTypes = ['jpeg', 'png', 'webp', 'gif', 'tiff', 'avif'].map((type) => `image/${type}`);

/** An orange PNG of one pixel, as an example that is short enough to read. */
const tinyImage =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP438MAAAQZAYzvQbwjAAAAAElFTkSuQmCC';

export interface ImageLimits {
  readonly imagePixelsMax: number;
  readonly imagesMax: number;
  /** How many threads the process has for decoding and for other native work. */
  readonly threads: number;
  /** How much memory all decoding may take at a time. By default, a share of what the process may have. */
  readonly decodeBytesMax?: number;
}

export function imageLimitsOf(
  configuration: Pick<
    Configurations['api'],
    'IMAGE_PIXELS_MAX' | 'IMAGES_PER_REQUEST_MAX' | 'UV_THREADPOOL_SIZE'
  >,
): ImageLimits {
  return {
    imagePixelsMax: configuration.IMAGE_PIXELS_MAX,
    imagesMax: configuration.IMAGES_PER_REQUEST_MAX,
    threads: configuration.UV_THREADPOOL_SIZE,
  };
}

/**
 * The share of the memory that decoding may take. With 2 GiB, a single AVIF of 50 megapixels is just within
 * it. The rest is for the process itself and the bodies of requests.
 */
const decodeShare = 0.6;

let picture: Promise<typeof Picture> | undefined;

/** Loads the decoders. They take 40 MB and a fifth of a second, and a service without images does without them. */
function loadPicture(): Promise<typeof Picture> {
  picture ??= (async () => (await import('./pictures/picture.js')).Picture)();
  return picture;
}

export function makeImageKind(limits: ImageLimits) {
  const bytesMax = limits.decodeBytesMax ?? Math.floor(memoryLimitBytes() * decodeShare);
  const atATime = decodesAtATime(countProcessors(), limits.threads);
  const turns = new Turns({ ...atATime, bytesMax });
  return {
    noun: 'images',
    mediaTypes: 'image/*',
    jsonOpening: '{',
    get load(): Load {
      return turns.load;
    },
    /** Loads the decoders. Otherwise the first image does. */
    open: async () => void (await loadPicture()),
    codes: ['base64_invalid', 'image_unreadable', 'image_unsupported', 'image_too_large'],

    fromJson(input: unknown): RawInput[] {
      const entries = imageEntries(input, limits.imagesMax);
      return entries.map(([name, value]) => ({
        name,
        value: decodeBase64(value, `the image ${shown(name)}`),
      }));
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
      const data = await decode(input, bytes, { wanted, limits, bytesMax, turns, signal });
      return [{ name: 'input', datatype: 'UINT8', shape: [1, ...pixelShape(wanted)], data }];
    },

    describe: () => ({
      one: imageForm(1),
      several: imageForm(limits.imagesMax),
      example: { picture: tinyImage },
      mediaTypes,
    }),
  } satisfies InputKind & { load: Load; open: () => Promise<void> };
}

/**
 * Allows one decode for each core, because more would slow down each other and everything else, and
 * leaves a thread free for other work. Slow decodes get half of the turns, so only slow ones wait for
 * them. On a single core, a slow decode shares the core with a quick one.
 */
export function decodesAtATime(cores: number, threads: number): { max: number; slowMax: number } {
  const max = Math.max(2, Math.min(cores, threads - 1));
  return { max, slowMax: Math.floor(max / 2) };
}

/** @throws ScorelineError `image_too_large`, `image_unreadable`, `image_unsupported`; the signal's reason */
async function decode(
  input: RawInput,
  bytes: Buffer,
  options: {
    wanted: ImageInput;
    limits: ImageLimits;
    bytesMax: number;
    turns: Turns;
    signal: AbortSignal;
  },
): Promise<Buffer> {
  const { wanted, limits, bytesMax, turns, signal } = options;
  const Picture = await loadPicture();
  const open = async () => {
    const picture = await Picture.open(bytes);
    const { width, height } = picture;
    const pixelsMax = Math.min(limits.imagePixelsMax, picture.pixelsIn(bytesMax, wanted));
    if (width * height > pixelsMax) throw tooLarge(input, picture, pixelsMax);
    return picture.isSlow || picture.bytesFor(wanted) > 0 ? picture : picture.toPixels(wanted);
  };
  try {
    const opened = await turns.take(open, { signal });
    if (!(opened instanceof Picture)) return opened;
    const { isSlow } = opened;
    const bytes = opened.bytesFor(wanted);
    return await turns.take(() => opened.toPixels(wanted), { signal, isSlow, bytes });
  } catch (error) {
    if (error instanceof ScorelineError) throw error;
    throw undecodable(input, bytes, coerceError(error));
  }
}

/** Describes what `fromJson` accepts, of at most so many images. */
function imageForm(imagesMax: number): z.ZodType {
  const file = z
    .string()
    .min(1)
    .describe(`A ${formats} file in base64. It may be a data URL.`)
    .meta({ contentEncoding: 'base64' });
  const count = z.number().min(1).max(imagesMax);
  const named = z
    .record(z.string(), file)
    .refine((images) => count.safeParse(Object.keys(images).length).success)
    .describe(`${imagesMax === 1 ? 'The image' : `Up to ${imagesMax} images`} by name.`)
    .meta({ minProperties: 1, maxProperties: imagesMax });
  return z.union([named, file]);
}

/**
 * Accepts `{"<name>": "<base64>", …}` or the base64 alone.
 * @throws ScorelineError `input_invalid`, `input_missing`, `too_many_inputs`
 */
function imageEntries(input: unknown, imagesMax: number): [name: string, value: unknown][] {
  if (typeof input === 'string') return [['image', input]];
  if (!isJsonObject(input)) {
    throw new ScorelineError(
      'input_invalid',
      `Expected "input" to be the base64 of an image, or {"<name>": "<base64 of an image>"}; got ${shown(input)}.`,
    );
  }
  // For a quarter of a million names, the entries take five times as long as the names.
  checkCount(Object.keys(input).length, imagesMax);
  return Object.entries(input);
}

function checkCount(count: number, imagesMax: number): void {
  if (count === 0) {
    throw new ScorelineError('input_missing', 'Expected at least one image in "input"; got none.');
  }
  if (count > imagesMax) {
    throw new ScorelineError(
      'too_many_inputs',
      `Expected at most ${imagesMax} images in a request; got ${count}. Send several requests: the service batches them.`,
    );
  }
}

function tooLarge(input: RawInput, { width, height }: Picture, pixelsMax: number): ScorelineError {
  return new ScorelineError(
    'image_too_large',
    `Expected ${named(input)}an image of at most ${pixelsMax} pixels; it has ${width} × ${height} = ${width * height}. Scale it down: the network sees a small version anyway.`,
  );
}

/** Says what is wrong with a file that could not be decoded. */
function undecodable(input: RawInput, bytes: Buffer, cause: Error): ScorelineError {
  const format = formatOf(bytes);
  if (!format)
    return unreadable(input, 'it has another format, or its beginning is damaged', cause);
  if (!format.isAccepted) {
    return new ScorelineError(
      'image_unsupported',
      `Expected ${named(input)}a ${formats} image; got ${format.name}. Convert it to JPEG or PNG first.`,
      { cause },
    );
  }
  const variants = format.name === 'a TIFF' ? ', or of a kind that is not accepted' : '';
  return new ScorelineError(
    'image_unreadable',
    `Expected ${named(input)}an intact image; got ${format.name} that is damaged or cut off${variants}. Check that all bytes of the file arrive unchanged.`,
    { cause },
  );
}

function unreadable(input: RawInput, reason: string, cause?: Error): ScorelineError {
  return new ScorelineError(
    'image_unreadable',
    `Expected ${named(input)}a ${formats} image; ${reason}.`,
    { cause },
  );
}

function named(input: RawInput): string {
  return input.name === undefined ? '' : `${shown(input.name)} to be `;
}
