import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  apiKeyIdForm,
  checkApiKeyForm,
  hashApiKey,
  makeApiKey,
  makeApiKeyId,
} from '../../api/access/api-key.js';
import { errorOf } from './sample-model.js';

const key = makeApiKey(makeApiKeyId());
const letters = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-. ';

describe('an API key', () => {
  test('has a prefix that scanners can look for, a public id, a secret and a checksum', () => {
    expect(key).toMatch(/^scl_[0-9A-Za-z]{10}_[0-9A-Za-z]{36}$/);
    expect(key.split('_')[1]).toMatch(apiKeyIdForm);
    expect(() => checkApiKeyForm(key)).not.toThrow();
  });

  test('has another secret each time, in which every character of the alphabet occurs', () => {
    const id = makeApiKeyId();
    const secrets = Array.from({ length: 500 }, () => makeApiKey(id).slice(15, 45));
    expect(new Set(secrets).size).toBe(500);
    expect(new Set(secrets.join('')).size).toBe(62);
  });

  test('is kept as its SHA-256', () => {
    const expected = createHash('sha256').update(key).digest('hex');
    expect(hashApiKey(key).toString('hex')).toBe(expected);
  });

  test('always passes its own check', () => {
    for (let round = 0; round < 200; round++) checkApiKeyForm(makeApiKey(makeApiKeyId()));
  });
});

describe('a mistyped key', () => {
  const refusal = (text: string) => errorOf(() => checkApiKeyForm(text));

  test('is told from an unknown one, for each character that may be wrong', () => {
    const place = fc.integer({ min: 0, max: key.length - 1 });
    fc.assert(
      fc.property(place, fc.constantFrom(...letters), (at, letter) => {
        fc.pre(key[at] !== letter);
        expect(refusal(key.slice(0, at) + letter + key.slice(at + 1)).code).toBe('key_malformed');
      }),
      { numRuns: 1000 },
    );
  });

  test('is told from an unknown one when two characters have changed places', () => {
    for (let at = 15; at < key.length - 1; at++) {
      const [a = '', b = ''] = [key[at], key[at + 1]];
      if (a === b) continue;
      expect(refusal(key.slice(0, at) + b + a + key.slice(at + 2)).code).toBe('key_malformed');
    }
  });

  test.each([
    ['cut off', key.slice(0, -1)],
    ['too long', `${key}A`],
    ['without its prefix', key.slice(4)],
    ['in upper case', key.toUpperCase()],
    ['with a blank in front', ` ${key}`],
    ['with a line break behind', `${key}\n`],
    ['empty', ''],
    ['two keys', `${key}, ${key}`],
  ])('is refused when it is %s, without being repeated', (_what, text) => {
    const error = refusal(text);
    expect(error.code).toBe('key_malformed');
    expect(error.message).toContain('Copy the whole key again');
    if (text.length > 40) expect(error.message).not.toContain(text.slice(5, 40));
  });
});
