// The form of an API key: `scl_<id>_<secret><checksum>`, in letters and digits.
//
// The prefix lets people and scanners recognise a leaked key. The checksum, CRC-32 in base 62, tells a
// mistyped key from an unknown one without a look at the known keys, so that the client gets the right
// advice. The id is public: it names the key in lists and logs. The secret has 178 random bits, so a
// plain SHA-256 of the key is safe to store; slow hashes are for secrets that people choose.

import { hash, randomInt } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { ScorelineError } from '../../shared/errors.js';

export const apiKeyPrefix = 'scl_';

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const idLength = 10;
const secretLength = 30;
const checksumLength = 6;
const form = /^scl_[0-9A-Za-z]{10}_[0-9A-Za-z]{36}$/;

export const apiKeyIdForm = new RegExp(`^[0-9A-Za-z]{${idLength}}$`);

export function makeApiKeyId(): string {
  return randomText(idLength);
}

/** Makes a key with a new secret for this id. */
export function makeApiKey(id: string): string {
  const text = `${apiKeyPrefix}${id}_${randomText(secretLength)}`;
  return text + checksumOf(text);
}

/** Returns what is stored of a key: its SHA-256. */
export function hashApiKey(key: string): Buffer {
  return hash('sha256', key, 'buffer');
}

/**
 * Checks the form and the checksum of a key.
 * @throws ScorelineError `key_malformed`
 */
export function checkApiKeyForm(key: string): void {
  const end = key.length - checksumLength;
  if (form.test(key) && checksumOf(key.slice(0, end)) === key.slice(end)) return;
  throw new ScorelineError(
    'key_malformed',
    `Expected a key as it was shown when it was made, ${apiKeyPrefix} and 47 more characters; got one that is cut off or mistyped. Copy the whole key again.`,
  );
}

function checksumOf(text: string): string {
  let rest = crc32(text);
  let digits = '';
  for (let place = 0; place < checksumLength; place++) {
    digits = alphabet.charAt(rest % alphabet.length) + digits;
    rest = Math.floor(rest / alphabet.length);
  }
  return digits;
}

function randomText(length: number): string {
  return Array.from({ length }, () => alphabet.charAt(randomInt(alphabet.length))).join('');
}
