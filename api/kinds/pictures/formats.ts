// The formats of image files, told by their first bytes. They are asked for only when a file could not be
// decoded, to tell a damaged image from an intact one in a format that is not accepted.
//
// A library would know more formats, but would parse files of any origin on the main thread, where a
// file that keeps a parser busy stops everybody. This file compares a few bytes.

import { hasOverlay } from './avif-overlay.js';
import { readJpegHeader, segmentsMax } from './jpeg-header.js';
import { hasManyScans, scansMax } from './jpeg-scans.js';
import { hasManyTexts, textsMax } from './png-texts.js';
import { unacceptedTiff } from './tiff.js';

export interface ImageFormat {
  /** The name with its article, for messages. */
  readonly name: string;
  readonly isAccepted: boolean;
}

type Signature = readonly [name: string, begins: string | readonly string[]];

const accepted: readonly Signature[] = [
  ['a JPEG', '\xff\xd8\xff'],
  ['a PNG', '\x89PNG\r\n\x1a\n'],
  ['a GIF', ['GIF87a', 'GIF89a']],
  ['a TIFF', ['II*\0', 'MM\0*', 'II+\0', 'MM\0+']],
];

const unaccepted: readonly Signature[] = [
  ['JPEG XL', ['\xff\x0a', '\0\0\0\x0cJXL \r\n']],
  ['JPEG 2000', ['\0\0\0\x0cjP  \r\n', '\xff\x4f\xff\x51']],
  ['JPEG XR', 'II\xbc'],
  ['a Windows icon (ICO)', '\0\0\x01\0'],
  ['a Windows cursor (CUR)', '\0\0\x02\0'],
  ['a Photoshop document (PSD)', '8BPS'],
  ['a PDF', '%PDF-'],
  ['PostScript', ['%!PS', '\xc5\xd0\xd3\xc6']],
  ['OpenEXR', 'v/1\x01'],
  ['Radiance HDR', ['#?RADIANCE', '#?RGBE']],
  ['DDS', 'DDS '],
  ['QOI', 'qoif'],
  ['an Apple icon (ICNS)', 'icns'],
  ['a GIMP image (XCF)', 'gimp xcf'],
  ['DjVu', 'AT&TFORM'],
  ['FITS', 'SIMPLE  ='],
  ['a Fujifilm raw file (RAF)', 'FUJIFILMCCD-RAW'],
  ['an Olympus raw file (ORF)', ['IIRO', 'IIRS']],
  ['a Panasonic raw file (RW2)', 'IIU\0'],
  ['gzip-compressed data', '\x1f\x8b'],
  ['a ZIP archive', 'PK\x03\x04'],
  ['a Matroska or WebM video', '\x1a\x45\xdf\xa3'],
];

/** Sizes of the header that follows the file header of a BMP. Two letters alone are too few to tell. */
const bmpHeaderBytes = [12, 40, 52, 56, 64, 108, 124];

/** Returns undefined for a format that is not known here. */
export function formatOf(bytes: Buffer): ImageFormat | undefined {
  const known = find(accepted, bytes);
  const variant = known && unacceptedVariant(known, bytes);
  if (variant) return { name: variant, isAccepted: false };
  if (known) return { name: known, isAccepted: true };
  return riff(bytes) ?? isoMedia(bytes) ?? otherFormat(bytes);
}

function find(signatures: readonly Signature[], bytes: Buffer): string | undefined {
  const head = bytes.toString('latin1', 0, 32);
  return signatures.find(([, begins]) =>
    [begins].flat().some((text) => head.startsWith(text)),
  )?.[0];
}

function otherFormat(bytes: Buffer): ImageFormat | undefined {
  const name = find(unaccepted, bytes) ?? describeByForm(bytes);
  return name === undefined ? undefined : { name, isAccepted: false };
}

/** Names formats whose beginning is more than fixed bytes. */
function describeByForm(bytes: Buffer): string | undefined {
  const text = bytes.toString('latin1', 0, 512);
  if (/^(\xef\xbb\xbf)?\s*<(\?xml|svg|!doctype|!--|html)/i.test(text)) return 'SVG, XML or HTML';
  if (/^P[1-7]\s+[\d#W]/.test(text)) return 'a Netpbm image (PPM, PGM, PBM or PAM)';
  const isBmp =
    text.startsWith('BM') && bytes.length > 18 && bmpHeaderBytes.includes(bytes.readUInt32LE(14));
  return isBmp ? 'a BMP' : undefined;
}

/** WebP is a RIFF container, as are videos and sounds. */
function riff(bytes: Buffer): ImageFormat | undefined {
  if (bytes.toString('latin1', 0, 4) !== 'RIFF') return undefined;
  const content = bytes.toString('latin1', 8, 12);
  if (content === 'WEBP') return { name: 'a WebP', isAccepted: true };
  return content === 'AVI ' ? { name: 'an AVI video', isAccepted: false } : undefined;
}

/** AVIF and HEIC are containers of the kind that videos use. The first box lists what they may be. */
function isoMedia(bytes: Buffer): ImageFormat | undefined {
  if (bytes.length < 16 || bytes.toString('latin1', 4, 8) !== 'ftyp') return undefined;
  const end = Math.min(bytes.readUInt32BE(0), bytes.length, 256);
  const brands = [bytes.toString('latin1', 8, 12)];
  for (let at = 16; at + 4 <= end; at += 4) brands.push(bytes.toString('latin1', at, at + 4));
  const has = (...wanted: string[]) => wanted.some((brand) => brands.includes(brand));
  if (has('avif', 'avis') && hasOverlay(bytes)) {
    return { name: 'an AVIF of pictures that lie over each other', isAccepted: false };
  }
  if (brands[0] === 'avis') return { name: 'an animated AVIF', isAccepted: false };
  if (has('avif', 'avis')) return { name: 'an AVIF', isAccepted: true };
  const name = has('heic', 'heix', 'heim', 'heis', 'hevc', 'hevx', 'mif1', 'msf1')
    ? 'HEIC'
    : has('crx ')
      ? 'a Canon raw file (CR3)'
      : 'an MP4 or QuickTime video';
  return { name, isAccepted: false };
}

/** Names what a JPEG, PNG or TIFF holds if the decoders do not take it. */
function unacceptedVariant(format: string, bytes: Buffer): string | undefined {
  if (format === 'a TIFF') return unacceptedTiff(bytes);
  if (format === 'a PNG')
    return hasManyTexts(bytes) ? `a PNG of more than ${textsMax} texts` : undefined;
  if (format !== 'a JPEG') return undefined;
  const { coding = 0xc0, bitsPerSample = 8, hasManySegments } = readJpegHeader(bytes);
  if ([0xc3, 0xc7, 0xcb, 0xcf].includes(coding)) return 'a lossless JPEG';
  if (hasManySegments) return `a JPEG of more than ${segmentsMax} segments before its data`;
  if (hasManyScans(bytes)) return `a JPEG of more than ${scansMax} scans`;
  return bitsPerSample === 8 ? undefined : `a JPEG of ${bitsPerSample} bits`;
}
