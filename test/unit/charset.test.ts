import process from 'node:process';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeText } from '../../api/kinds/charset.js';
import { errorOf } from './sample-model.js';

/** Encodes a text in UTF-16 with the high byte first. */
const utf16be = (text: string) => Buffer.from(text, 'utf16le').swap16();

describe('a text', () => {
  test('survives encoding and decoding in UTF-8, whatever it contains', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        fc.pre(!text.startsWith('\ufeff'));
        expect(decodeText(Buffer.from(text))).toBe(text);
      }),
    );
  });

  test.each([
    ['utf-8', Buffer.from('Grüße 😀')],
    ['UTF-8', Buffer.from('Grüße 😀')],
    ['utf8', Buffer.from('Grüße 😀')],
    ['utf-16le', Buffer.from('Grüße 😀', 'utf16le')],
    ['UTF-16LE', Buffer.from('\ufeffGrüße 😀', 'utf16le')],
    ['utf-16be', utf16be('Grüße 😀')],
  ])('is decoded from %s', (charset, bytes) => {
    expect(decodeText(bytes, charset)).toBe('Grüße 😀');
  });

  test.each([
    ['iso-8859-1', Buffer.from('Grüße', 'latin1'), 'Grüße'],
    ['windows-1252', Buffer.from([0x80]), '€'],
    ['us-ascii', Buffer.from('plain'), 'plain'],
    ['shift_jis', Buffer.from([0x96, 0xe2]), '問'],
  ])('is decoded from the legacy charset %s', (charset, bytes, expected) => {
    expect(decodeText(bytes, charset)).toBe(expected);
  });

  test('has the signs of windows-1252, and else the characters of ISO 8859-1', () => {
    const all = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    const signs = '€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ';
    const expected = all.toString('latin1').replace(/[\x80-\x9f]+/, signs);
    expect(decodeText(all, 'windows-1252')).toBe(expected);
    expect(decodeText(Buffer.alloc(0), 'windows-1252')).toBe('');
  });

  test('of signs alone is decoded about as quickly in windows-1252 as in another charset', () => {
    const bytes = Buffer.alloc(2_000_000, 0x80);
    // Processor time, since other processes may have the processors just then.
    const take = (charset: string) => {
      const start = process.cpuUsage();
      decodeText(bytes, charset);
      const { user, system } = process.cpuUsage(start);
      return user + system;
    };
    const times = Array.from({ length: 5 }, () => [take('windows-1252'), take('koi8-r')] as const);
    const [quickest, other] = [0, 1].map((at) =>
      Math.min(...times.map((each) => each[at] as number)),
    );
    expect(quickest).toBeLessThan(10 * (other as number));
  });

  test('loses its byte order mark, and nothing else', () => {
    expect(decodeText(Buffer.from('\ufeffa\ufeff'))).toBe('a\ufeff');
    expect(decodeText(Buffer.from('\ufeff'))).toBe('');
    expect(decodeText(Buffer.alloc(0))).toBe('');
  });

  test.each([
    ['utf-8', Buffer.from('Grüße', 'latin1')],
    ['utf-8', Buffer.from([0xed, 0xa0, 0x80])],
    ['utf-8', Buffer.from([0xc0, 0x80])],
    ['utf-16le', Buffer.from([0x41, 0x00, 0x42])],
    ['utf-16le', Buffer.from([0x00, 0xd8, 0x41, 0x00])],
    ['us-ascii', Buffer.from([0xff])],
  ])('whose bytes are not valid in %s is refused: %s', (charset, bytes) => {
    const error = errorOf(() => decodeText(bytes, charset));
    expect(error.code).toBe('input_invalid');
    expect(error.message).toContain(charset);
  });

  test.each(['ebcdic', 'utf-7', '', 'x'.repeat(10_000), '\u0000'])(
    'in an unknown charset is refused: %j',
    (charset) => {
      const error = errorOf(() => decodeText(Buffer.from('a'), charset));
      expect(error.code).toBe('unsupported_media_type');
      expect(error.message.length).toBeLessThan(250);
    },
  );
});
