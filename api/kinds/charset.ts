// Bytes to text. A byte that does not belong there is an error: a replacement character in its place would
// make another text of it, and nobody would notice.

import { isUtf8 } from 'node:buffer';
import { coerceError, ScorelineError } from '../../shared/errors.js';

/**
 * Decodes a text.
 * @param charset the encoding that the sender declares, such as `utf-16le`; UTF-8 without one
 * @throws ScorelineError `unsupported_media_type` for an encoding that this platform cannot decode,
 * `input_invalid` when the bytes are not in that encoding
 */
export function decodeText(bytes: Buffer, charset = 'utf-8'): string {
  if (isUtf8Label(charset)) {
    if (!isUtf8(bytes)) throw notIn(charset);
    return withoutMark(bytes.toString('utf8'));
  }
  const decoder = makeDecoder(charset);
  if (!decoder) {
    throw new ScorelineError(
      'unsupported_media_type',
      `Expected a text in an encoding that can be decoded here, best UTF-8; got the charset ${JSON.stringify(charset.slice(0, 60))}.`,
    );
  }
  try {
    const text = decoder.decode(bytes);
    return decoder.encoding === 'windows-1252' ? withWindowsSigns(text) : text;
  } catch (thrown) {
    throw notIn(charset, thrown);
  }
}

function makeDecoder(charset: string) {
  try {
    return new TextDecoder(charset, { fatal: true });
  } catch {
    return undefined;
  }
}

/** What windows-1252 has at the bytes 0x80 to 0x9f. */
const windowsSigns = '€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ';

/** Node 20 decodes windows-1252 as ISO 8859-1, which has control characters there. */
function withWindowsSigns(text: string): string {
  return text.replace(/[\u0080-\u009f]/g, (sign) => windowsSigns.charAt(sign.charCodeAt(0) - 0x80));
}

function isUtf8Label(charset: string): boolean {
  return /^utf-?8$/i.test(charset) || /^us-ascii$/i.test(charset);
}

/** A text without its byte order mark. */
function withoutMark(text: string): string {
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
}

function notIn(charset: string, cause?: unknown): ScorelineError {
  return new ScorelineError(
    'input_invalid',
    `Expected the text in ${charset.slice(0, 60)}; the bytes are not. Send UTF-8, or name the encoding in the Content-Type.`,
    { cause: cause && coerceError(cause) },
  );
}
