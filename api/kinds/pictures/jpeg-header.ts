// The header of a JPEG file: the segments before the data of the picture.
//
// The decoder warns of damaged data. It also warns of a header that is not quite as the standard wants it,
// although such a picture is intact: cameras leave bytes between segments or write odd versions. Its
// warnings cannot be told apart, so the header is put in order before it is decoded. Then each warning
// means damage.

import type { Size } from './fit.js';
import { readExifNumber } from './tiff.js';

export interface JpegHeader {
  /** The marker of the frame, which says how the picture is coded: 0xc0 is baseline, 0xc2 progressive. */
  readonly coding: number | undefined;
  readonly bitsPerSample: number | undefined;
  /**
   * The size of a picture of the usual kind: 8 bits, grey or three colours, shown as it is stored. Undefined for
   * others, and for a header that is odd. The decoder then has to say what it is.
   */
  readonly usual: Size | undefined;
  /** The file with its header in order. It is the file itself if there was nothing to do. */
  readonly inOrder: Buffer;
  /** Whether there are more segments than are read. */
  readonly hasManySegments: boolean;
}

const startOfScan = 0xda;
/**
 * Files have some ten segments. With a large profile, they have up to 255 more. The decoder has no limit: a picture of
 * 224 pixels a side with 1.5 million empty segments took a second of processor time.
 */
export const segmentsMax = 1000;
/** How many bytes may lie between segments, all together. */
const strayBytesMax = 65_536;

export function readJpegHeader(bytes: Buffer): JpegHeader {
  let coding: number | undefined;
  let bitsPerSample: number | undefined;
  let usual: Size | undefined;
  let isUpright = true;
  // The marker "start of image" has no content.
  let at = 2;
  const parts = [bytes.subarray(0, at)];
  let isInOrder = true;
  let strayBytes = 0;
  let count = 0;
  for (; count < segmentsMax; count++) {
    const start = findMarker(bytes, at, strayBytesMax - strayBytes);
    const code = start === undefined ? undefined : bytes[start + 1];
    if (start === undefined || code === undefined || !isSegment(code)) break;
    if (start + 4 > bytes.length) break;
    const end = start + 2 + bytes.readUInt16BE(start + 2);
    const segment = bytes.subarray(start, end);
    if (isFrame(code)) {
      coding = code;
      bitsPerSample = segment[4];
      usual = usualSize(segment);
    }
    isUpright &&= !isExif(segment) || isUprightBy(segment.subarray(exifHeaderBytes));
    const ordinary = toOrdinary(segment, coding);
    parts.push(ordinary);
    strayBytes += start - at;
    isInOrder &&= start === at && ordinary === segment;
    at = end;
    if (code !== startOfScan) continue;
    parts.push(bytes.subarray(at));
    const inOrder = isInOrder ? bytes : Buffer.concat(parts);
    usual = isUpright ? usual : undefined;
    return { coding, bitsPerSample, usual, inOrder, hasManySegments: false };
  }
  const hasManySegments = count === segmentsMax;
  return { coding, bitsPerSample, usual: undefined, inOrder: bytes, hasManySegments };
}

/** Returns the size that a frame states if it has one or three components of 8 bits. */
function usualSize(frame: Buffer): Size | undefined {
  if (frame.length < 10 || frame[4] !== 8) return undefined;
  const [height, width, components] = [frame.readUInt16BE(5), frame.readUInt16BE(7), frame[9]];
  const isUsual = width > 0 && height > 0 && (components === 1 || components === 3);
  return isUsual ? { width, height } : undefined;
}

/** The decoder takes data with this beginning for Exif. */
function isExif(segment: Buffer): boolean {
  return segment[1] === 0xe1 && segment.toString('latin1', 4, 8) === 'Exif';
}

const exifHeaderBytes = 10;
const orientationTag = 0x0112;

/** Whether Exif data says that a picture is shown as it is stored, or does not say how. */
function isUprightBy(exif: Buffer): boolean {
  const orientation = readExifNumber(exif, orientationTag);
  return orientation === 1 || orientation === 'none';
}

/** Finds the next marker as the decoder does: 0xff and a byte that is neither 0 nor 0xff. */
function findMarker(bytes: Buffer, from: number, strayMax: number): number | undefined {
  const last = Math.min(bytes.length - 2, from + strayMax);
  for (let at = from; at <= last; at++) {
    if (bytes[at] === 0xff && bytes[at + 1] !== 0 && bytes[at + 1] !== 0xff) return at;
  }
  return undefined;
}

/** Whether the marker has a length and content. 0xd0 to 0xd9 have none. */
function isSegment(code: number): boolean {
  return code >= 0xc0 && (code < 0xd0 || code > 0xd9);
}

/** Whether it starts a frame: 0xc0 to 0xcf, of which three have other meanings. */
function isFrame(code: number): boolean {
  return code <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(code);
}

/** Returns a segment with values that the decoder does not warn of, and reads as those that it has. */
function toOrdinary(segment: Buffer, coding: number | undefined): Buffer {
  const code = segment[1];
  if (code === 0xe0 && segment.toString('latin1', 4, 9) === 'JFIF\0') {
    return withBytes(segment, 9, [1]);
  }
  if (code === startOfScan && (coding === 0xc0 || coding === 0xc1)) {
    // A scan that is not progressive holds all coefficients, with all of their bits.
    return withBytes(segment, segment.length - 3, [0, 63, 0]);
  }
  return segment;
}

/** Returns the segment itself if it has these bytes there, or ends before. */
function withBytes(segment: Buffer, at: number, values: readonly number[]): Buffer {
  if (at < 4 || at + values.length > segment.length) return segment;
  if (values.every((value, index) => segment[at + index] === value)) return segment;
  const changed = Buffer.from(segment);
  changed.set(values, at);
  return changed;
}
