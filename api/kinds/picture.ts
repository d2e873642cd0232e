// Pictures: the door to sharp, which decodes them with libvips.
//
// Decoding applies the EXIF orientation, puts transparent parts on white, converts grey, CMYK and
// 16-bit images to 8-bit sRGB, and takes the first frame of an animation. The decoders of all other
// formats, SVG included, are blocked in the library itself.
//
// Never tell errors by their text: libvips collects the texts of all threads in one buffer, so a decode
// can fail with the words of another.

// biome-ignore lint/style/noRestrictedImports: this file is the door to sharp.
import sharp, { type Metadata, type Sharp } from 'sharp';
import type { ImageInput } from '../../shared/manifest.js';
import { hasOverlay } from './avif-overlay.js';
import { readJpegHeader } from './jpeg-header.js';
import { hasManyScans } from './jpeg-scans.js';

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

/**
 * From how many pixels on a picture is slow: it may take more than about 0.3 s of processor time.
 * Measured at 12 megapixels: 4 ms a megapixel for JPEG, 11 to 17 for the others, and 64 for AVIF.
 */
const slowPixels = { heif: 4_000_000, others: 16_000_000 };

/**
 * How much memory decoding takes at most, for each pixel. Measured at 50 megapixels: 8.5 bytes for a
 * progressive CMYK JPEG, 8.4 for an interlaced PNG of 16 bits, 7.9 for WebP, 5.9 for a TIFF of large tiles, and
 * 24.1 for an AVIF of 10 bits with transparency.
 */
const bytesPerPixel = { heif: 25, others: 9 };
/** A picture that takes less is not counted. */
const countedBytesMin = 32 * 1024 * 1024;

export class Picture {
  readonly #bytes: Buffer;
  readonly #header: Metadata;

  /**
   * Reads the header of a file.
   * @throws Error of sharp when the file has no header that it takes
   */
  static async open(bytes: Buffer): Promise<Picture> {
    // The limit is checked by the caller, who knows the numbers.
    const header = await sharp(bytes, { failOn: 'error', limitInputPixels: false }).metadata();
    return new Picture(bytes, header);
  }

  private constructor(bytes: Buffer, header: Metadata) {
    this.#bytes = bytes;
    this.#header = header;
  }

  get width(): number {
    return this.#header.width;
  }

  get height(): number {
    return this.#header.height;
  }

  /** Whether it may take long to decode. */
  get isSlow(): boolean {
    return this.width * this.height >= slowPixels[this.#family];
  }

  /** How many pixels pictures of this format may have to be decoded in so much memory. */
  pixelsIn(bytes: number): number {
    return Math.floor(bytes / bytesPerPixel[this.#family]);
  }

  /** How much memory decoding may take, in bytes; 0 if it is little. */
  get bytesMax(): number {
    const bytes = this.width * this.height * bytesPerPixel[this.#family];
    return bytes < countedBytesMin ? 0 : bytes;
  }

  get #family(): keyof typeof bytesPerPixel {
    return this.#header.format === 'heif' ? 'heif' : 'others';
  }

  /**
   * Returns the pixels that the network takes: height × width × 3, RGB, 8 bits. Crops the centred
   * square if the manifest sets `cropFraction`, then resizes with a bicubic kernel.
   *
   * Embedded colour profiles are ignored, as they were in training. CMYK is the exception, because only
   * a profile defines how it maps to RGB.
   * @throws Error of sharp when the picture cannot be decoded, or when the decoder calls its data corrupt
   */
  async toPixels(input: ImageInput): Promise<Buffer> {
    const { autoOrient, format, space } = this.#header;
    const { file, failOn } = strictness(this.#bytes, format);
    const region = input.cropFraction
      ? centredSquare(autoOrient, input.cropFraction)
      : wholeOf(autoOrient);
    const square = sharp(file, {
      failOn,
      limitInputPixels: this.width * this.height,
      ignoreIcc: space !== 'cmyk',
    })
      .autoOrient()
      .extract(region)
      .flatten({ background: '#ffffff' })
      .toColourspace('srgb');
    return isEnlarged(region, input) ? enlarge(square, region, input) : resize(square, input);
  }
}

/**
 * How strictly to decode. The decoders of JPEG and GIF only warn of damaged data and go on with a guess,
 * so each warning fails. The others fail by themselves. Those of TIFF warn of tags that have nothing to
 * do with the picture.
 */
function strictness(bytes: Buffer, format: Metadata['format']) {
  if (format === 'heif' && hasOverlay(bytes)) throw new Error('The AVIF has layers.');
  if (format === 'jpeg' && hasManyScans(bytes)) throw new Error('The JPEG has too many scans.');
  if (format === 'jpeg') return { file: readJpegHeader(bytes).inOrder, failOn: 'warning' } as const;
  return { file: bytes, failOn: format === 'gif' ? 'warning' : 'error' } as const;
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
