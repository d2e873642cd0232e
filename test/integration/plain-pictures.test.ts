// The pictures that have a quicker decoder than sharp: which they are, that their pixels are the same, and that those
// whose data is not whole are told.

import { readFileSync } from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { checkData } from '../../api/kinds/pictures/plain-jpeg/data.js';
import { readPlainJpeg } from '../../api/kinds/pictures/plain-jpeg/header.js';
import { plainPngSize } from '../../api/kinds/pictures/plain-png.js';
import { decodeQuickly } from '../../api/kinds/pictures/quick-decoder.js';
import { root } from '../harness.js';
import { difference, photograph, photographs, readEfficientNet, toPixels } from './photographs.js';

const { input } = readEfficientNet().manifest;
const jpegs = photographs.filter((name) => name.endsWith('.jpg'));
const variant = (name: string) => readFileSync(path.join(root, 'test/photographs/jpeg', name));

/** The decoders enlarge colours differently: measured by up to 0.27 on average, and by up to 4. */
const closeMean = 0.4;
const closeMax = 8;

function verdictOf(file: Buffer): string {
  const plain = readPlainJpeg(file);
  return plain ? checkData(file, plain) : 'not plain';
}

describe('the data of a JPEG', () => {
  it.each([
    ...jpegs.map((name) => [name, photograph(name)] as const),
    ...[
      'colours-half-width.jpg',
      'colours-half-height.jpg',
      'colours-quarter.jpg',
      'restarts.jpg',
      'grey-restarts.jpg',
    ].map((name) => [name, variant(name)] as const),
  ])('is whole, and decoded to the pixels of sharp: %s', async (_name, file) => {
    expect(verdictOf(file)).toBe('whole');
    const { width, height } = await sharp(file).metadata();
    const { data, channels } = await decodeQuickly(file, { width, height });
    const space = channels === 1 ? 'b-w' : 'srgb';
    const decoder = sharp(file, { ignoreIcc: true }).toColourspace(space).raw();
    const { mean, max } = difference(data, await decoder.toBuffer());
    expect(mean).toBeLessThan(closeMean);
    expect(max).toBeLessThanOrEqual(closeMax);
  });

  it.each([
    'three-scans.jpg',
    'rgb.jpg',
    'colours-quarter-width.jpg',
    'progressive.jpg',
    'coarse.jpg',
  ])('is left to sharp: %s', async (name) => {
    const file = variant(name);
    expect(verdictOf(file)).toBe('not plain');
    const cat = await toPixels(variant('colours-half-width.jpg'), input);
    // They are of other qualities. Pixels in wrong colours would differ by a hundred.
    expect(difference(await toPixels(file, input), cat).mean).toBeLessThan(20);
  });

  it.each(Array.from({ length: 18 }, (_, at) => [1 + at, 18 - at] as const))(
    'is whole at %i × %i pixels',
    async (width, height) => {
      const small = sharp(photograph('coffee.png')).resize(width, height, { fit: 'fill' });
      const raw = await small.raw().toBuffer({ resolveWithObject: true });
      for (const chromaSubsampling of ['4:2:0', '4:4:4']) {
        const picture = sharp(raw.data, { raw: { width, height, channels: raw.info.channels } });
        const file = await picture.jpeg({ chromaSubsampling, quality: 90 }).toBuffer();
        expect(verdictOf(file)).toBe('whole');
        const { data } = await decodeQuickly(file, { width, height });
        const sharps = await sharp(file).raw().toBuffer();
        expect(difference(data, sharps).max).toBeLessThanOrEqual(12);
      }
    },
  );

  describe.each(jpegs)('of %s', (name) => {
    const file = photograph(name);
    const start = readPlainJpeg(file)?.dataAt as number;
    const places = [0.1, 0.3, 0.5, 0.7, 0.9].map((share) =>
      Math.floor(start + share * (file.length - start)),
    );

    it('is never whole if it is cut off, whatever follows', () => {
      const end = Buffer.from([0xff, 0xd9]);
      for (const at of places) {
        expect(verdictOf(file.subarray(0, at))).toBe('damaged');
        expect(verdictOf(Buffer.concat([file.subarray(0, at), end]))).toBe('damaged');
      }
      expect(verdictOf(file.subarray(0, file.length - 2))).toBe('unclear');
    });

    it('is never whole if a piece of it is missing', () => {
      for (const at of places) {
        const left = Buffer.concat([file.subarray(0, at), file.subarray(at + 500)]);
        expect(verdictOf(left)).not.toBe('whole');
      }
    });

    it('is never whole if it says another size', () => {
      const frame = file.indexOf(Buffer.from([0xff, 0xc0]));
      for (const at of [5, 7]) {
        const [larger, smaller] = [Buffer.from(file), Buffer.from(file)];
        larger.writeUInt16BE(file.readUInt16BE(frame + at) + 32, frame + at);
        smaller.writeUInt16BE(file.readUInt16BE(frame + at) - 32, frame + at);
        expect(verdictOf(larger)).not.toBe('whole');
        expect(verdictOf(smaller)).not.toBe('whole');
      }
    });

    it('is rarely whole if 1 kB of it are zeros', () => {
      const zeros = places.map((at) => Buffer.from(file).fill(0, at - 512, at + 512));
      const unnoticed = zeros.filter((each) => verdictOf(each) === 'whole');
      expect(unnoticed.length).toBeLessThanOrEqual(1);
    });

    it('is refused if its line ends were converted', async () => {
      const text = file.toString('latin1', start).replaceAll('\n', '\r\n');
      const converted = Buffer.concat([file.subarray(0, start), Buffer.from(text, 'latin1')]);
      await expect(toPixels(converted, input)).rejects.toThrow('damaged');
    });
  });

  it('may be followed by anything, but not have more in it', async () => {
    const file = photograph('siamese-cat.jpg');
    expect(verdictOf(Buffer.concat([file, Buffer.from('<html>')]))).toBe('whole');
    const stray = Buffer.concat([file.subarray(0, -2), Buffer.alloc(3), file.subarray(-2)]);
    expect(verdictOf(stray)).toBe('unclear');
    // sharp decides then, and such files are in use.
    const { mean } = difference(await toPixels(stray, input), await toPixels(file, input));
    expect(mean).toBeLessThan(closeMean);
  });

  it('is not whole if a restart marker is missing or another one', () => {
    const file = variant('restarts.jpg');
    const markers = Array.from({ length: 8 }, (_, number) => Buffer.from([0xff, 0xd0 + number]));
    for (const marker of markers) {
      const at = file.indexOf(marker, readPlainJpeg(file)?.dataAt);
      const without = Buffer.concat([file.subarray(0, at), file.subarray(at + 2)]);
      expect(verdictOf(without)).not.toBe('whole');
      const other = Buffer.from(file);
      other[at + 1] = 0xd0 + (((marker[1] as number) + 1) & 7);
      expect(verdictOf(other)).not.toBe('whole');
    }
  });

  it('that has no end takes as long as its size allows', () => {
    const file = photograph('siamese-cat.jpg');
    const claiming = Buffer.from(file);
    const frame = file.indexOf(Buffer.from([0xff, 0xc0]));
    claiming.writeUInt16BE(65_535, frame + 5);
    claiming.writeUInt16BE(65_535, frame + 7);
    expect(verdictOf(claiming)).toBe('damaged');
  });

  it.each([
    ['no Huffman tables', (file: Buffer) => without(file, 0xc4)],
    ['a quantisation table of 16 bits', (file: Buffer) => withByte(file, 0xdb, 4, 0x10)],
    ['two frames', (file: Buffer) => twice(file, 0xc0)],
    ['a great many Huffman tables', (file: Buffer) => withTables(file, 3000)],
    ['a Huffman table of a number that there is not', (file: Buffer) => withByte(file, 0xc4, 4, 7)],
    ['a table with too many codes', (file: Buffer) => withByte(file, 0xc4, 5, 3)],
    ['a scan of other components', (file: Buffer) => withByte(file, 0xda, 5, 7)],
  ])('is not gone through with %s', (_what, change) => {
    expect(['not plain', 'unclear', 'damaged']).toContain(
      verdictOf(change(photograph('siamese-cat.jpg'))),
    );
  });
});

describe('a PNG', () => {
  it.each(['chelsea.png', 'coffee.png', 'camera.png'])('is plain: %s', async (name) => {
    const file = photograph(name);
    const { width, height, channels: own } = await sharp(file).metadata();
    expect(plainPngSize(file)).toEqual({ width, height });
    const { data, channels } = await decodeQuickly(file, { width, height });
    expect(channels).toBe(own);
    const space = own === 1 ? 'b-w' : 'srgb';
    const sharps = await sharp(file, { ignoreIcc: true }).toColourspace(space).raw().toBuffer();
    expect(sharps.equals(data as Buffer)).toBe(true);
  });

  it('is left to sharp if it has a great many chunks', () => {
    const file = photograph('coffee.png');
    const chunk = Buffer.from('\0\0\0\0tEXt\x05\x66\x75\x9c', 'latin1');
    const many = (count: number) => {
      const chunks = Array.from({ length: count }, () => chunk);
      return Buffer.concat([file.subarray(0, 33), ...chunks, file.subarray(33)]);
    };
    expect(plainPngSize(many(100))).toEqual(plainPngSize(file));
    expect(plainPngSize(many(100_000))).toBeUndefined();
  });

  it('is left to sharp if it has a palette, 16 bits, transparency, or is interlaced', async () => {
    const picture = () => sharp(photograph('chelsea.png')).resize(40, 30);
    const others = [
      picture().png({ palette: true }),
      picture().toColourspace('rgb16').png(),
      picture().ensureAlpha(0.5).png(),
      picture().png({ progressive: true }),
    ];
    for (const other of others) expect(plainPngSize(await other.toBuffer())).toBeUndefined();
  });

  it('is refused if a piece of it is missing, changed or says another size', async () => {
    const file = photograph('coffee.png');
    const middle = Math.floor(file.length / 2);
    const changed = Buffer.from(file);
    changed[middle] = (changed[middle] as number) ^ 1;
    const wider = Buffer.from(file);
    wider.writeUInt32BE(file.readUInt32BE(16) + 8, 16);
    const broken = [
      Buffer.concat([file.subarray(0, middle), file.subarray(middle + 100)]),
      file.subarray(0, middle),
      changed,
      wider,
    ];
    for (const each of broken) await expect(toPixels(each, input)).rejects.toThrow();
  });
});

/** Returns where a segment begins and ends. */
function segment(file: Buffer, code: number): [start: number, end: number] {
  const start = file.indexOf(Buffer.from([0xff, code]));
  expect(start).toBeGreaterThan(0);
  return [start, start + 2 + file.readUInt16BE(start + 2)];
}

function without(file: Buffer, code: number): Buffer {
  const [start, end] = segment(file, code);
  return Buffer.concat([file.subarray(0, start), file.subarray(end)]);
}

function twice(file: Buffer, code: number): Buffer {
  const [start, end] = segment(file, code);
  return Buffer.concat([file.subarray(0, end), file.subarray(start)]);
}

function withByte(file: Buffer, code: number, at: number, value: number): Buffer {
  const changed = Buffer.from(file);
  changed[segment(file, code)[0] + at] = value;
  return changed;
}

/** Puts a segment of empty tables before the others. */
function withTables(file: Buffer, count: number): Buffer {
  const [start] = segment(file, 0xc4);
  const tables = Buffer.alloc(4 + 17 * count);
  tables.writeUInt16BE(0xffc4, 0);
  tables.writeUInt16BE(2 + 17 * count, 2);
  return Buffer.concat([file.subarray(0, start), tables, file.subarray(start)]);
}
