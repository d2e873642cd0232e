import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatOf } from '../../api/kinds/pictures/formats.js';
import { readJpegHeader } from '../../api/kinds/pictures/jpeg-header.js';

const latin1 = (text: string) => Buffer.from(text, 'latin1');
const box = (...brands: string[]) =>
  latin1(
    `\0\0\0${String.fromCharCode(12 + brands.length * 4)}ftyp${brands[0]}\0\0\0\0${brands.slice(1).join('')}`,
  );
const bmp = (headerBytes: number) =>
  Buffer.concat([
    latin1('BM'),
    Buffer.alloc(12),
    Buffer.from([headerBytes, 0, 0, 0]),
    Buffer.alloc(9),
  ]);

describe('a format that is not accepted', () => {
  test.each([
    ['HEIC', box('heic', 'mif1')],
    ['HEIC', box('mif1', 'heic')],
    ['HEIC', box('msf1', 'hevc')],
    ['a Canon raw file (CR3)', box('crx ', 'isom')],
    ['an MP4 or QuickTime video', box('qt  ')],
    ['an MP4 or QuickTime video', box('isom', 'mp41')],
    ['JPEG XL', latin1('\xff\x0a\x7f')],
    ['JPEG XL', latin1('\0\0\0\x0cJXL \r\n\x87\n')],
    ['JPEG 2000', latin1('\0\0\0\x0cjP  \r\n\x87\n')],
    ['JPEG 2000', latin1('\xff\x4f\xff\x51\0')],
    ['a BMP', bmp(40)],
    ['a BMP', bmp(124)],
    ['a Windows icon (ICO)', latin1('\0\0\x01\0\x01\0')],
    ['a Photoshop document (PSD)', latin1('8BPS\0\x01')],
    ['a PDF', latin1('%PDF-1.7')],
    ['PostScript', latin1('%!PS-Adobe-3.0 EPSF-3.0')],
    ['a Netpbm image (PPM, PGM, PBM or PAM)', latin1('P6\n# a comment\n2 2 255\n')],
    ['SVG, XML or HTML', latin1('<svg xmlns="http://www.w3.org/2000/svg"/>')],
    ['SVG, XML or HTML', latin1('\xef\xbb\xbf  <?xml version="1.0"?>')],
    ['SVG, XML or HTML', latin1('<!DOCTYPE html>')],
    ['gzip-compressed data', latin1('\x1f\x8b\x08')],
    ['a ZIP archive', latin1('PK\x03\x04')],
    ['an AVI video', latin1('RIFF\0\0\0\0AVI LIST')],
  ])('is named: %s', (name, bytes) => {
    expect(formatOf(bytes)).toEqual({ name, isAccepted: false });
  });
});

describe('a format that is accepted', () => {
  test.each([
    ['a JPEG', latin1('\xff\xd8\xff\xe0')],
    ['a PNG', latin1('\x89PNG\r\n\x1a\n')],
    ['a GIF', latin1('GIF89a')],
    ['a WebP', latin1('RIFF\0\0\0\0WEBPVP8 ')],
    ['a TIFF', latin1('II*\0\x08\0\0\0')],
    ['a TIFF', latin1('MM\0*\0\0\0\x08')],
    ['an AVIF', box('avif', 'mif1', 'miaf')],
    ['an AVIF', box('mif1', 'avif')],
  ])('is known: %s', (name, bytes) => {
    expect(formatOf(bytes)).toEqual({ name, isAccepted: true });
  });
});

describe('other bytes', () => {
  test.each([
    ['nothing', latin1('')],
    ['one byte', latin1('\xff')],
    ['a text that begins like a BMP', latin1('BMW is a company in Munich, Germany.')],
    ['a text that begins like a PPM', latin1('P6 is a processor.')],
    ['a sound', latin1('RIFF\0\0\0\0WAVEfmt ')],
    ['zeros', Buffer.alloc(1000)],
  ])('are no known format: %s', (_what, bytes) => {
    expect(formatOf(bytes)).toBeUndefined();
  });

  const jpeg = [
    '\xff\xd8\xff',
    '\xff\xd8\xff\xe0\0\x07JFIF\0',
    '\xff\xd8\xff\xc0\0\x02\xff\xda\0\x02',
    '\xff\xd8\xff\xe1\0\x30Exif\0\0II*\0\x08\0\0\0',
    '\xff\xd8\xff\xe1\0\x30Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12',
  ];
  const others = ['II*\0\x08\0\0\0', 'MM\0*\0\0\0\x08', '\0\0\0\x40ftyp', 'RIFF', 'BM'];

  test('after the beginning of a format are read within their bounds', () => {
    const starts = fc.constantFrom(...jpeg, ...others).map(latin1);
    // Bytes of all values, and many that mean something to the formats.
    const rests = fc.oneof(
      fc.uint8Array({ maxLength: 80 }),
      fc.array(fc.constantFrom(0, 1, 2, 3, 0xc0, 0xda, 0xe0, 0xee, 0xff), { maxLength: 80 }),
    );
    fc.assert(
      fc.property(starts, rests, (start, rest) => {
        const bytes = Buffer.concat([start, Buffer.from(rest)]);
        formatOf(bytes);
        readJpegHeader(bytes);
      }),
      { numRuns: 2000 },
    );
  });
});
