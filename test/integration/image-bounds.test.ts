// What a malicious picture cannot do: reach a decoder that is not needed, or take more time or memory than its
// pixels are worth.

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import sharp from 'sharp';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { Ending } from '../../api/call/ending.js';
import { makeImageKind } from '../../api/kinds/image.js';
import { hasManyScans } from '../../api/kinds/pictures/jpeg-scans.js';
import { Picture } from '../../api/kinds/pictures/picture.js';
import { root } from '../harness.js';
import { photograph, readEfficientNet, toPixels } from './photographs.js';

const model = readEfficientNet();
const { input } = model.manifest;
const limits = { imagePixelsMax: 50_000_000, imagesMax: 1, threads: 4 };
const prepare = (value: Buffer, changes: Partial<Parameters<typeof makeImageKind>[0]> = {}) =>
  makeImageKind({ ...limits, ...changes }).prepare({ name: undefined, value }, model, new Ending());

describe('the loaders of libvips', () => {
  test('that sharp has are those of the accepted formats, and one for SVG', () => {
    // If a new sharp brings another one, decide here whether it is wanted.
    const loaders = Object.values(sharp.format)
      .filter(({ input: { buffer, stream } }) => buffer || stream)
      .map(({ id }) => id);
    expect(loaders.toSorted()).toEqual(
      ['gif', 'heif', 'jpeg', 'png', 'raw', 'svg', 'tiff', 'webp'].toSorted(),
    );
  });

  test('are blocked but for those of the accepted formats', async () => {
    const svg = Buffer.from(
      '<svg xmlns="http://www.w3.org/2000/svg" width="300" height="300"><rect width="9" height="9"/></svg>',
    );
    const refused = { code: 'image_unsupported', message: /got SVG, XML or HTML/ };
    await expect(prepare(svg)).rejects.toMatchObject(messageOf(refused));
    // The file is intact: nothing but the block keeps it from its loader.
    onTestFinished(() => sharp.block({ operation: ['VipsForeignLoadSvg'] }));
    sharp.unblock({ operation: ['VipsForeignLoadSvg'] });
    await expect(prepare(svg)).resolves.toHaveLength(1);
    sharp.block({ operation: ['VipsForeignLoadSvg'] });
    await expect(prepare(svg)).rejects.toMatchObject(messageOf(refused));
  });

  test.each([
    ['a PDF', '%PDF-1.7\n1 0 obj\n<<>>\nendobj\n', /got a PDF/],
    ['OpenEXR', 'v/1\x01\x02\0\0\0channels\0', /got OpenEXR/],
    ['Radiance HDR', '#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 1 +X 1\nabcd', /got Radiance HDR/],
    ['FITS', 'SIMPLE  =                    T'.padEnd(2880), /got FITS/],
    ['a PPM', `P6 2 2 255\n${'x'.repeat(12)}`, /got a Netpbm image/],
    ['JPEG XL', '\xff\x0a\x00\x10', /got JPEG XL/],
    ['JPEG 2000', '\0\0\0\x0cjP  \r\n\x87\n', /got JPEG 2000/],
    ['a Photoshop document', '8BPS\0\x01', /got a Photoshop document/],
    ['a video', '\x1a\x45\xdf\xa3', /got a Matroska or WebM video/],
  ])('get no file of another format, which is named: %s', async (_what, text, message) => {
    const value = Buffer.from(text, 'latin1');
    const refused = { code: 'image_unsupported', message };
    await expect(prepare(value)).rejects.toMatchObject(messageOf(refused));
  });

  test.each([
    ['MATLAB', 'MATLAB 5.0 MAT-file, Platform: GLNXA64'.padEnd(128)],
    ['the format of libvips', '\x08\xf2\xa6\xb6'.padEnd(100, '\0')],
    ['NIfTI', '\x5c\x01\0\0'.padEnd(352, '\0')],
    ['a table', '1,2,3\n4,5,6\n'],
    ['a matrix', '3 2 1 0\n1 2 3\n4 5 6\n'],
  ])('get no file of another format: %s', async (_what, text) => {
    const value = Buffer.from(text, 'latin1');
    await expect(prepare(value)).rejects.toMatchObject({ code: 'image_unreadable' });
  });
});

describe('the scans of a JPEG', () => {
  /** A progressive JPEG with its last scan, and the table of it, repeated. */
  const withScans = async (more: number, between = Buffer.alloc(0)) => {
    const create = { width: 64, height: 64, channels: 3, background: '#336699' } as const;
    const file = await sharp({ create }).jpeg({ progressive: true }).toBuffer();
    const table = file.lastIndexOf(Buffer.from([0xff, 0xc4]));
    const end = file.length - 2;
    const scan = Buffer.concat([file.subarray(table, end), between]);
    return Buffer.concat([file.subarray(0, end), ...Array(more).fill(scan), file.subarray(end)]);
  };
  /** How many scans there are without more: a byte sequence that data cannot hold. */
  const own = async () => (await withScans(0)).toString('latin1').split('\xff\xda').length - 1;

  test('may be a hundred', async () => {
    const more = 100 - (await own());
    expect(hasManyScans(await withScans(more))).toBe(false);
    expect(hasManyScans(await withScans(more + 1))).toBe(true);
  });

  test.each([
    ['alone', Buffer.alloc(0)],
    ['behind comments with an end', Buffer.from('\xff\xfe\0\x06\xff\xd9\xff\xd9', 'latin1')],
    ['behind bytes that mean nothing', Buffer.from('\x01\x02\xff\xff\xff\0\xff\xd0', 'latin1')],
  ])('that are more are refused before they are decoded: %s', async (_what, between) => {
    const refused = { code: 'image_unsupported', message: /got a JPEG of more than 100 scans/ };
    await expect(prepare(await withScans(500, between))).rejects.toMatchObject(messageOf(refused));
  });

  test('are not counted in other pictures inside of the file, or behind it', async () => {
    const cat = photograph('siamese-cat.jpg');
    const markers = Buffer.alloc(4000, Buffer.from([0xff, 0xda]));
    const thumbnail = Buffer.concat([Buffer.from([0xff, 0xe1, 0x0f, 0xa2]), markers]);
    const pixels = await toPixels(cat, input);
    for (const file of [
      Buffer.concat([cat, markers]),
      Buffer.concat([cat.subarray(0, 2), thumbnail, cat.subarray(2)]),
    ]) {
      expect((await toPixels(file, input)).equals(pixels)).toBe(true);
    }
  });
});

describe('the segments of a JPEG', () => {
  const cat = photograph('siamese-cat.jpg');
  const withSegments = (segment: Buffer, count: number) =>
    Buffer.concat([cat.subarray(0, 2), ...Array(count).fill(segment), cat.subarray(2)]);
  const application = Buffer.from('\xff\xe5\0\x02', 'latin1');

  test('may be hundreds', async () => {
    const pixels = await toPixels(cat, input);
    expect((await toPixels(withSegments(application, 900), input)).equals(pixels)).toBe(true);
  });

  test.each([
    ['Exif', Buffer.from('\xff\xe1\0\x08Exif\0\0', 'latin1')],
    ['others of applications', application],
    ['comments', Buffer.from('\xff\xfe\0\x02', 'latin1')],
    ['restart intervals', Buffer.from('\xff\xdd\0\x04\0\0', 'latin1')],
    ['with filling', Buffer.from('\xff\xff\xff\xff\xe1\0\x02', 'latin1')],
  ])('that are far more are refused before they are decoded: %s', async (_what, segment) => {
    const refused = { code: 'image_unsupported', message: /got a JPEG of more than 1000 segments/ };
    const value = withSegments(segment, 1000);
    await expect(prepare(value)).rejects.toMatchObject(messageOf(refused));
    await expect(Picture.open(value)).rejects.toThrow('too many segments');
  });
});

describe('the texts of a PNG', () => {
  const text = (type: string) => {
    const chunk = Buffer.concat([Buffer.from(type), Buffer.from('a\0b')]);
    const frame = Buffer.alloc(8);
    frame.writeUInt32BE(3);
    frame.writeUInt32BE(crc32(chunk), 4);
    return Buffer.concat([frame.subarray(0, 4), chunk, frame.subarray(4)]);
  };
  const withTexts = async (count: number, type = 'tEXt') => {
    const create = { width: 64, height: 64, channels: 4, background: '#336699' } as const;
    const file = await sharp({ create }).png().toBuffer();
    const texts = Array(count).fill(text(type));
    return Buffer.concat([file.subarray(0, 33), ...texts, file.subarray(33)]);
  };

  test('may be a thousand', async () => {
    const pixels = await toPixels(await withTexts(0), input);
    expect((await toPixels(await withTexts(1000), input)).equals(pixels)).toBe(true);
  });

  test.each(['tEXt', 'zTXt', 'iTXt'])('that are more are refused: %s', async (type) => {
    const refused = { code: 'image_unsupported', message: /got a PNG of more than 1000 texts/ };
    await expect(prepare(await withTexts(1001, type))).rejects.toMatchObject(messageOf(refused));
  });
});

test('an AVIF of pictures that lie over each other is refused, though it could be decoded', async () => {
  const file = readFileSync(path.join(root, 'test/cases/overlay.avif'));
  expect((await sharp(file).raw().toBuffer({ resolveWithObject: true })).info.width).toBe(64);
  await expect(prepare(file)).rejects.toMatchObject(
    messageOf({ code: 'image_unsupported', message: /got an AVIF of pictures that lie over each/ }),
  );
});

describe('the memory for decoding', () => {
  const plain = (width: number, height: number) =>
    sharp({ create: { width, height, channels: 3, background: '#336699' } });

  test('lowers the limit of pixels where it is short, by what the format takes', async () => {
    const decodeBytesMax = 1_000_000;
    const [png, avif] = await Promise.all(
      [plain(300, 300).png(), plain(300, 300).avif({ effort: 0 })].map((each) => each.toBuffer()),
    );
    await expect(prepare(png as Buffer, { decodeBytesMax })).resolves.toHaveLength(1);
    await expect(prepare(avif as Buffer, { decodeBytesMax })).rejects.toMatchObject(
      messageOf({ code: 'image_too_large', message: /at most 40000 pixels; it has 300 × 300/ }),
    );
    await expect(prepare(avif as Buffer)).resolves.toHaveLength(1);
  });

  test.each([
    [40_000_000, 1],
    [80_000_000, 2],
  ])(
    'is shared: of pictures of 36 MB, %i bytes hold %i at a time',
    async (decodeBytesMax, held) => {
      const file = await plain(2000, 2000).png().toBuffer();
      const kind = makeImageKind({ ...limits, decodeBytesMax, threads: 8 });
      let [running, most] = [0, 0];
      const toPixels = Picture.prototype.toPixels;
      const spy = vi.spyOn(Picture.prototype, 'toPixels').mockImplementation(async function (
        this: Picture,
        ...of
      ) {
        most = Math.max(most, ++running);
        return await toPixels.apply(this, of).finally(() => running--);
      });
      onTestFinished(() => spy.mockRestore());
      const value = { name: undefined, value: file };
      await Promise.all([1, 2, 3, 4].map(() => kind.prepare(value, model, new Ending())));
      expect(most).toBe(held);
    },
  );

  test('is not taken by a file that claims to be small', async () => {
    const create = { width: 3000, height: 3000, channels: 3, background: '#336699' } as const;
    const avif = await sharp({ create }).avif({ effort: 0 }).toBuffer();
    const at = avif.indexOf('ispe') + 8;
    avif.writeUInt32BE(100, at);
    avif.writeUInt32BE(100, at + 4);
    await expect(prepare(avif)).rejects.toMatchObject({ code: 'image_unreadable' });
  });
});

function messageOf({ code, message }: { code: string; message: RegExp }) {
  return { code, message: expect.stringMatching(message) };
}
