// Pictures: the door to sharp, which decodes them with libvips. Small ones that are plain have a quicker decoder.
//
// Decoding applies the EXIF orientation, puts transparent parts on white, converts grey, CMYK and
// 16-bit images to 8-bit sRGB, and takes the first frame of an animation. The decoders of all other
// formats, SVG included, are blocked in the library itself.
//
// Never tell errors by their text: libvips collects the texts of all threads in one buffer, so a decode
// can fail with the words of another.

// biome-ignore lint/style/noRestrictedImports: this file is the door to sharp.
import sharp, { type Metadata, type Sharp } from 'sharp';
import type { ImageInput } from '../../../shared/manifest/image-input.js';
import { hasOverlay } from './avif-overlay.js';
import { type Fit, fitOf, type Region, type Size } from './fit.js';
import { type JpegHeader, readJpegHeader } from './jpeg-header.js';
import { hasManyScans } from './jpeg-scans.js';
import { order, type Pixels, place } from './pixels.js';
import { checkData } from './plain-jpeg/data.js';
import { type PlainJpeg, readPlainJpeg } from './plain-jpeg/header.js';
import { plainPngSize } from './plain-png.js';
import { hasWrongSums } from './png-sums.js';
import { hasManyTexts } from './png-texts.js';
import { decodeQuickly } from './quick-decoder.js';
import { resample } from './resample/resample.js';
import { unacceptedTiff } from './tiff.js';

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
 * Up to how many pixels a picture is small. Then what sharp takes for each picture weighs more than what it saves by
 * reading only the rows that count and by resizing while it decodes.
 */
const smallPixels = 800_000;
/** A small picture has no longer side, since the weights of its filter take as much time as it has pixels in a line. */
const smallSide = 10_000;
/** A small picture has no larger file, so its header is read quickly. */
const smallBytes = 4 * 1024 * 1024;

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
type Header = Pick<Metadata, 'width' | 'height' | 'format' | 'space' | 'autoOrient'> &
  Partial<Pick<Metadata, 'depth'>>;

export class Picture {
  readonly #bytes: Buffer;
  readonly #header: Header;
  /** Undefined for other formats. */
  readonly #jpeg: JpegHeader | undefined;
  readonly #isPlainPng: boolean;

  /**
   * Reads the header of a file. That of the usual JPEG or PNG is read here, because sharp takes half a millisecond.
   * @throws Error when the file has no header that sharp takes, or far too many texts or segments
   */
  static async open(bytes: Buffer): Promise<Picture> {
    const jpeg = isJpeg(bytes) ? readJpegHeader(bytes) : undefined;
    if (jpeg?.hasManySegments) throw new Error('The JPEG has too many segments.');
    const png = jpeg ? undefined : plainPngSize(bytes);
    const size = jpeg?.usual ?? png;
    if (size) {
      const format = png ? 'png' : 'jpeg';
      const header = { ...size, format, space: 'srgb', autoOrient: size } as const;
      return new Picture(bytes, header, jpeg, png !== undefined);
    }
    if (hasManyTexts(bytes)) throw new Error('The PNG has too many texts.');
    // The limit is checked by the caller, who knows the numbers.
    const header = await sharp(bytes, { failOn: 'error', limitInputPixels: false }).metadata();
    return new Picture(bytes, header, jpeg, false);
  }

  private constructor(
    bytes: Buffer,
    header: Header,
    jpeg: JpegHeader | undefined,
    isPlainPng: boolean,
  ) {
    this.#bytes = bytes;
    this.#header = header;
    this.#jpeg = jpeg;
    this.#isPlainPng = isPlainPng;
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
    const keepsMany = !this.#isSmall && this.#keepsPixels(input);
    return bytesPerPixel[this.#family] + (keepsMany ? keptBytesPerPixel : 0);
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
    const fit = fitOf(this.#header.autoOrient, input);
    return order(place(await this.#resize(fit, input), fit, input), input);
  }

  async #resize(fit: Fit, input: ImageInput): Promise<Buffer> {
    const { region, scaled } = fit;
    const filter = { interpolation: input.interpolation, antialias: input.antialias };
    const quick = await this.#decodeQuickly();
    if (quick) return resample(quick, region, scaled, filter);
    const part = this.#decode(region);
    const shrunk = {
      width: Math.min(region.width, scaled.width),
      height: Math.min(region.height, scaled.height),
    };
    const size = this.#keepsPixels(input) ? region : shrunk;
    const data = await (size === region ? part.raw(raw).toBuffer() : shrink(part, size, input));
    if (isSame(size, scaled)) return data;
    const pixels = { data, width: size.width, channels: 3 } as const;
    return resample(pixels, { ...size, left: 0, top: 0 }, scaled, filter);
  }

  /** The file, with its header in order if it is a JPEG. */
  get #file(): Buffer {
    return this.#jpeg?.inOrder ?? this.#bytes;
  }

  /**
   * Decodes a picture that is small, plain and whole. Returns undefined for others, and if the decoder refuses it:
   * then sharp decides.
   * @throws Error when it is damaged
   */
  async #decodeQuickly(): Promise<Pixels | undefined> {
    const plain = this.#isSmall ? this.#readPlain() : undefined;
    if (!plain) return undefined;
    const decoding = decodeQuickly(this.#file, this).catch(() => undefined);
    // The data is gone through while another thread decodes it.
    const verdict = plain === 'png' ? 'whole' : checkData(this.#file, plain);
    const pixels = await decoding;
    if (verdict === 'damaged') throw new Error('The data of the JPEG is damaged.');
    return verdict === 'whole' ? pixels : undefined;
  }

  #readPlain(): PlainJpeg | 'png' | undefined {
    if (this.#isPlainPng) return 'png';
    return this.#jpeg?.usual && readPlainJpeg(this.#file);
  }

  get #isSmall(): boolean {
    const { width, height } = this;
    const isShort = width <= smallSide && height <= smallSide;
    return isShort && width * height <= smallPixels && this.#bytes.length <= smallBytes;
  }

  /** Whether all pixels are decoded before they are resized, here and not by sharp. */
  #keepsPixels({ interpolation, antialias }: ImageInput): boolean {
    return this.#isSmall || interpolation === 'nearest' || !antialias;
  }

  #decode(region: Region): Sharp {
    const { format, space } = this.#header;
    const unfit = whatIsUnfit(this.#file, this.#header);
    if (unfit) throw new Error(`It is ${unfit}.`);
    return sharp(this.#file, {
      // The decoders of JPEG and GIF only warn of damaged data and go on with a guess. The others fail by themselves,
      // and those of TIFF warn of tags that have nothing to do with the picture.
      failOn: format === 'jpeg' || format === 'gif' ? 'warning' : 'error',
      limitInputPixels: this.width * this.height,
      ignoreIcc: space !== 'cmyk',
    })
      .autoOrient()
      .extract(region)
      .flatten({ background: '#ffffff' })
      .toColourspace('srgb');
  }
}

function isJpeg(bytes: Buffer): boolean {
  return bytes[0] === 0xff && bytes[1] === 0xd8;
}

/** Returns what a file is that sharp would decode to a wrong picture, or at a price that it is not worth. */
function whatIsUnfit(bytes: Buffer, { format, depth }: Header): string | undefined {
  switch (format) {
    case 'tiff':
      if (depth !== 'uchar' && depth !== 'ushort') return `a TIFF of ${depth} samples`;
      return unacceptedTiff(bytes);
    case 'png':
      return hasWrongSums(bytes) ? 'a PNG with a wrong checksum' : undefined;
    case 'heif':
      return hasOverlay(bytes) ? 'an AVIF with layers' : undefined;
    case 'jpeg':
      return hasManyScans(bytes) ? 'a JPEG with too many scans' : undefined;
    default:
      return undefined;
  }
}

const kernels = { bilinear: 'linear', bicubic: 'cubic', lanczos: 'lanczos3' } as const;
const raw = { depth: 'uchar' } as const;

function isSame(one: Size, other: Size): boolean {
  return one.width === other.width && one.height === other.height;
}

/** Resizes a picture that does not grow, with the filter widened. */
function shrink(
  image: Sharp,
  { width, height }: Size,
  { interpolation }: ImageInput,
): Promise<Buffer> {
  if (interpolation === 'nearest') {
    throw new Error('The nearest pixels are taken here. This is a bug.');
  }
  return image
    .resize(width, height, { fit: 'fill', kernel: kernels[interpolation], fastShrinkOnLoad: false })
    .raw(raw)
    .toBuffer();
}
