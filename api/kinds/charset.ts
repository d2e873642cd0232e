// Decodes bytes to text. An invalid byte is an error. A replacement character would silently change
// the text that is scored.

import { isUtf8 } from 'node:buffer';
import { coerceError, ScorelineError } from '../../shared/errors.js';

/**
 * Decodes a text and drops its byte order mark.
 * @param charset the encoding that the sender declares, such as `utf-16le`. The default is UTF-8.
 * @throws ScorelineError `unsupported_media_type` when this platform cannot decode the charset;
 * `input_invalid` when the bytes are not valid in it
 */
export function decodeText(bytes: Buffer, charset = 'utf-8'): string {
  if (isUtf8Label(charset)) {
    if (!isUtf8(bytes)) throw invalidBytes(charset);
    return withoutMark(bytes.toString('utf8'));
  }
  const decoder = makeDecoder(charset);
  if (!decoder) {
    throw new ScorelineError(
      'unsupported_media_type',
      `Expected a charset that this service can decode; got ${JSON.stringify(charset.slice(0, 60))}. Send UTF-8.`,
    );
  }
  try {
    const text = decoder.decode(bytes);
    return decoder.encoding === 'windows-1252' ? withWindowsSigns(text) : text;
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

/** The characters of windows-1252 at the bytes 0x80 to 0x9f. */
const windowsSigns = '€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ';

/** Node 20 decodes windows-1252 as ISO 8859-1, which has control characters at those bytes. */
function withWindowsSigns(text: string): string {
  return text.replace(/[\u0080-\u009f]/g, (sign) => windowsSigns.charAt(sign.charCodeAt(0) - 0x80));
}

function isUtf8Label(charset: string): boolean {
  return /^utf-?8$/i.test(charset) || /^us-ascii$/i.test(charset);
}

function withoutMark(text: string): string {
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
}

function invalidBytes(charset: string, cause?: unknown): ScorelineError {
  return new ScorelineError(
    'input_invalid',
    `Expected a text in ${charset.slice(0, 60)}; got bytes that are not valid in it. Send UTF-8, or name the charset in the Content-Type.`,
    { cause: cause && coerceError(cause) },
  );
}
