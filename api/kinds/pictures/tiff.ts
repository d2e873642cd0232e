// The first directory of a TIFF: numbers in it, and kinds of pictures that the decoder takes for others. Exif data in a
// JPEG is a TIFF as well.

const ofShort = 3;

const tags = {
  bitsPerSample: 258,
  compression: 259,
  photometric: 262,
  samplesPerPixel: 277,
  extraSamples: 338,
  sampleFormat: 339,
} as const;

const compressions: Readonly<Record<number | string, string>> = {
  6: 'old-style JPEG',
  34661: 'JBIG',
  34676: 'SGI LogLuv',
  34677: 'SGI LogLuv',
  34712: 'JPEG 2000',
  34887: 'LERC',
  34925: 'LZMA',
  50000: 'Zstandard',
  50002: 'JPEG XL',
};
const jpegCompression = 7;
const yCbCr = 6;
/** How many samples a pixel has for its colour, by how they are to be read. */
const colourSamples: Readonly<Record<number, number>> = { 0: 1, 1: 1, 2: 3, 3: 1, 5: 4 };
/** With the colour multiplied by it, and without. */
const transparency = [1, 2];
const unsigned = 1;

/**
 * Returns what a TIFF holds if it is not decoded, or if libvips would decode it to a wrong picture: it takes YCbCr
 * samples for RGB unless they are in JPEGs, numbers of 32 bits and signed ones for others, and whatever comes behind the
 * colours for transparency. Undefined for others, and for files whose directory cannot be read here.
 */
export function unacceptedTiff(tiff: Buffer): string | undefined {
  const read = (tag: number, absent: number) => {
    const found = findEntry(tiff, tag);
    return typeof found === 'string' ? absent : firstShort(tiff, found);
  };
  const compression = read(tags.compression, 1);
  const named = compressions[compression];
  if (named) return `a TIFF with ${named} compression`;
  if (read(tags.photometric, 0) === yCbCr && compression !== jpegCompression) {
    return 'a TIFF of YCbCr colours without JPEG compression';
  }
  const colours = colourSamples[read(tags.photometric, 0)] ?? Number.NaN;
  const isBeyond = read(tags.samplesPerPixel, 1) > colours;
  if (isBeyond && !transparency.includes(read(tags.extraSamples, 0))) {
    return 'a TIFF with a sample that is neither a colour nor said to be transparency';
  }
  const bits = read(tags.bitsPerSample, 1);
  if (bits > 16) return `a TIFF of ${bits} bits a sample`;
  return read(tags.sampleFormat, unsigned) === unsigned
    ? undefined
    : 'a TIFF of signed or floating-point samples';
}

/**
 * Returns a number of 16 bits of Exif data. Returns `none` if the directory has no entry with this tag, and `odd` if
 * there is no directory, its end is missing or the entry is no such number.
 */
export function readExifNumber(exif: Buffer, tag: number): number | 'none' | 'odd' {
  const found = formOf(exif)?.isBig ? 'odd' : findEntry(exif, tag);
  if (typeof found === 'string') return found;
  return found.type === ofShort && found.count === 1 ? firstShort(exif, found) : 'odd';
}

interface Form {
  readonly isLittle: boolean;
  /** Whether it is a BigTIFF, whose offsets and counts have 64 bits. */
  readonly isBig: boolean;
}

interface Entry {
  readonly type: number;
  readonly count: number;
  /** Where its values are, or where they are said to be if they do not fit. */
  readonly at: number;
}

function formOf(tiff: Buffer): Form | undefined {
  const order = tiff.toString('latin1', 0, 4);
  const isLittle = order.startsWith('II');
  if (order === 'II*\0' || order === 'MM\0*') return { isLittle, isBig: false };
  return order === 'II+\0' || order === 'MM\0+' ? { isLittle, isBig: true } : undefined;
}

function findEntry(tiff: Buffer, tag: number): Entry | 'none' | 'odd' {
  const form = formOf(tiff);
  if (!form || tiff.length < (form.isBig ? 16 : 8)) return 'odd';
  const { isBig } = form;
  const { read16, readSize } = readersOf(tiff, form);
  const countBytes = isBig ? 8 : 2;
  const entryBytes = isBig ? 20 : 12;
  const first = readSize(isBig ? 8 : 4) + countBytes;
  if (first > tiff.length) return 'odd';
  const count = isBig ? readSize(first - countBytes) : read16(first - countBytes);
  const end = first + count * entryBytes;
  for (let at = first; at < end; at += entryBytes) {
    if (at + entryBytes > tiff.length) return 'odd';
    if (read16(at) !== tag) continue;
    return { type: read16(at + 2), count: readSize(at + 4), at: at + (isBig ? 12 : 8) };
  }
  return 'none';
}

/** Returns the first value of an entry of shorts; NaN if there is none. */
function firstShort(tiff: Buffer, { type, count, at }: Entry): number {
  const form = formOf(tiff);
  if (!form || type !== ofShort || count < 1) return Number.NaN;
  const { read16, readSize } = readersOf(tiff, form);
  const where = count * 2 <= (form.isBig ? 8 : 4) ? at : readSize(at);
  return where + 2 <= tiff.length ? read16(where) : Number.NaN;
}

/** Sizes have 32 bits, or 64 in a BigTIFF. */
function readersOf(tiff: Buffer, { isLittle, isBig }: Form) {
  const read16 = (at: number) => (isLittle ? tiff.readUInt16LE(at) : tiff.readUInt16BE(at));
  const read32 = (at: number) => (isLittle ? tiff.readUInt32LE(at) : tiff.readUInt32BE(at));
  const read64 = (at: number) =>
    Number(isLittle ? tiff.readBigUInt64LE(at) : tiff.readBigUInt64BE(at));
  return { read16, readSize: isBig ? read64 : read32 };
}
