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
import type { ImageInput } from '../../shared/image-input.js';
import { hasOverlay } from './avif-overlay.js';
import { type Fit, fitOf, type Size } from './fit.js';
import { interpolate } from './interpolate.js';
import { type JpegHeader, readJpegHeader } from './jpeg-header.js';
import { hasManyScans } from './jpeg-scans.js';
import { order, place } from './pixels.js';

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
/** What comes on top if all pixels are kept until it is resized. Measured at 50 megapixels: 3.5. */
const keptBytesPerPixel = 4;
/** A picture that takes less is not counted. */
const countedBytesMin = 32 * 1024 * 1024;

/** What a header says. `autoOrient` is the size of the picture as it is shown. */
type Header = Pick<Metadata, 'width' | 'height' | 'format' | 'space' | 'autoOrient'>;

export class Picture {
  readonly #bytes: Buffer;
  readonly #header: Header;
  /** Undefined for other formats. */
  readonly #jpeg: JpegHeader | undefined;

  /**
   * Reads the header of a file. That of the usual JPEG is read here, because sharp takes half a millisecond.
   * @throws Error of sharp when the file has no header that it takes
   */
  static async open(bytes: Buffer): Promise<Picture> {
    const jpeg = isJpeg(bytes) ? readJpegHeader(bytes) : undefined;
    const size = jpeg?.usual;
    if (size) {
      return new Picture(bytes, { ...size, format: 'jpeg', space: 'srgb', autoOrient: size }, jpeg);
    }
    // The limit is checked by the caller, who knows the numbers.
    const header = await sharp(bytes, { failOn: 'error', limitInputPixels: false }).metadata();
    return new Picture(bytes, header, jpeg);
  }

  private constructor(bytes: Buffer, header: Header, jpeg: JpegHeader | undefined) {
    this.#bytes = bytes;
    this.#header = header;
    this.#jpeg = jpeg;
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

  /** How many pixels pictures of this format may have to become those of a network in so much memory. */
  pixelsIn(bytes: number, input: ImageInput): number {
    return Math.floor(bytes / this.#bytesPerPixel(input));
  }

  /** How much memory decoding and resizing may take, in bytes; 0 if it is little. */
  bytesFor(input: ImageInput): number {
    const bytes = this.width * this.height * this.#bytesPerPixel(input);
    return bytes < countedBytesMin ? 0 : bytes;
  }

  #bytesPerPixel(input: ImageInput): number {
    return bytesPerPixel[this.#family] + (keepsFilter(input) ? keptBytesPerPixel : 0);
  }

  get #family(): keyof typeof bytesPerPixel {
    return this.#header.format === 'heif' ? 'heif' : 'others';
  }

  /**
   * Returns the pixels that the network takes, 8 bits, row by row: height × width × channels, resized as the
   * manifest says.
   *
   * Embedded colour profiles are ignored, as they were in training. CMYK is the exception, because only
   * a profile defines how it maps to RGB.
   * @throws Error of sharp when the picture cannot be decoded, or when the decoder calls its data corrupt
   */
  async toPixels(input: ImageInput): Promise<Buffer> {
    const { autoOrient, format, space } = this.#header;
    const file = this.#jpeg?.inOrder ?? this.#bytes;
    const fit = fitOf(autoOrient, input);
    const part = sharp(file, {
      failOn: strictness(file, format),
      limitInputPixels: this.width * this.height,
      ignoreIcc: space !== 'cmyk',
    })
      .autoOrient()
      .extract(fit.region)
      .flatten({ background: '#ffffff' })
      .toColourspace('srgb');
    return order(place(await resample(part, fit, input), fit, input), input);
  }
}

function isJpeg(bytes: Buffer): boolean {
  return bytes[0] === 0xff && bytes[1] === 0xd8;
}

/**
 * How strictly to decode. The decoders of JPEG and GIF only warn of damaged data and go on with a guess,
 * so each warning fails. The others fail by themselves. Those of TIFF warn of tags that have nothing to
 * do with the picture.
 */
function strictness(bytes: Buffer, format: Metadata['format']) {
  if (format === 'heif' && hasOverlay(bytes)) throw new Error('The AVIF has layers.');
  if (format === 'jpeg' && hasManyScans(bytes)) throw new Error('The JPEG has too many scans.');
  return format === 'jpeg' || format === 'gif' ? 'warning' : 'error';
}

const kernels = {
  nearest: 'nearest',
  bilinear: 'linear',
  bicubic: 'cubic',
  lanczos: 'lanczos3',
} as const;
const raw = { depth: 'uchar' } as const;

/** Resizes, with the filter widened where the picture shrinks unless the manifest says otherwise. */
async function resample(image: Sharp, { region, scaled }: Fit, input: ImageInput): Promise<Buffer> {
  const { interpolation } = input;
  const shrunk = {
    width: Math.min(region.width, scaled.width),
    height: Math.min(region.height, scaled.height),
  };
  if (keepsFilter(input)) {
    return interpolate(await image.raw(raw).toBuffer(), region, scaled, interpolation);
  }
  const data = await resize(image, shrunk, input);
  return isSame(shrunk, scaled) ? data : interpolate(data, shrunk, scaled, interpolation);
}

/** Whether the filter stays as narrow where a picture shrinks, so that only some of its pixels count. */
function keepsFilter({ interpolation, antialias }: ImageInput): boolean {
  return interpolation === 'nearest' || !antialias;
}

function isSame(one: Size, other: Size): boolean {
  return one.width === other.width && one.height === other.height;
}

function resize(image: Sharp, { width, height }: Size, input: ImageInput): Promise<Buffer> {
  const kernel = kernels[input.interpolation];
  return image
    .resize(width, height, { fit: 'fill', kernel, fastShrinkOnLoad: false })
    .raw(raw)
    .toBuffer();
}
