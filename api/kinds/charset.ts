// Decodes bytes to text. An invalid byte is an error. A replacement character would silently change
// the text that is scored.

import { isUtf8 } from 'node:buffer';
import { parse as parseContentType } from 'content-type';
import { coerceError, ScorelineError } from '../../shared/errors.js';
import { shown } from '../../shared/shown.js';

/** Returns the charset that a Content-Type declares. */
export function charsetIn(contentType: string | undefined): string | undefined {
  if (!contentType?.includes(';')) return undefined;
  return parseContentType(contentType).parameters.charset || undefined;
}

/**
 * Decodes a text and drops its byte order mark.
 * @param charset the encoding that the sender declares, such as `utf-16le`. UTF-8, if there is none.
 * @throws ScorelineError `unsupported_media_type` when this platform cannot decode the charset;
 * `input_invalid` when the bytes are not valid in it, or when none is declared and they look like UTF-16
 */
export function decodeText(bytes: Buffer, charset?: string): string {
  if (charset === undefined) {
    // UTF-16 of plain English is valid UTF-8, but for a NUL beside each letter.
    if (bytes.includes(0)) throw undeclared();
    return decodeText(bytes, 'utf-8');
  }
  if (/^(utf-?8|us-ascii)$/i.test(charset)) {
    if (!isUtf8(bytes)) throw invalidBytes(charset);
    return withoutMark(bytes.toString('utf8'));
  }
  const decoder = makeDecoder(charset);
  if (!decoder) {
    throw new ScorelineError(
      'unsupported_media_type',
      `Expected a charset that this service can decode; got ${shown(charset)}. Send UTF-8.`,
    );
  }
  try {
    return decoder.encoding === 'windows-1252' ? decodeWindows(bytes) : decoder.decode(bytes);
  } catch (thrown) {
    throw invalidBytes(charset, thrown);
  }
}

function makeDecoder(charset: string) {
  try {
    return new TextDecoder(charset, { fatal: true });
  } catch {
    return undefined;
  }
}

/** The characters of windows-1252 at the bytes 0x80 to 0x9f. The others are those of ISO 8859-1. */
const windowsSigns = '€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ';
const windowsUnits = Uint16Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x80 && byte <= 0x9f ? windowsSigns.charCodeAt(byte - 0x80) : byte,
);

/**
 * Node 20 decodes windows-1252 as ISO 8859-1. To replace the wrong characters of its text takes a callback for each,
 * and two seconds for a body of 16 MB.
 */
function decodeWindows(bytes: Buffer): string {
  const units = new Uint16Array(bytes.length);
  for (let at = 0; at < bytes.length; at++) units[at] = windowsUnits[bytes[at] as number] as number;
  return Buffer.from(units.buffer).toString('utf16le');
}

function withoutMark(text: string): string {
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
}

function undeclared(): ScorelineError {
  return new ScorelineError(
    'input_invalid',
    'Expected UTF-8, since no charset is declared; got bytes with NUL, as UTF-16 has them. Send UTF-8, or name the charset in the Content-Type, as in text/plain; charset=utf-16le.',
  );
}

function invalidBytes(charset: string, cause?: unknown): ScorelineError {
  return new ScorelineError(
    'input_invalid',
    `Expected a text in ${charset.slice(0, 60)}; got bytes that are not valid in it. Send UTF-8, or name the charset in the Content-Type.`,
    { cause: cause && coerceError(cause) },
  );
}
