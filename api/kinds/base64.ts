// Bytes in JSON.

import { ScorelineError } from '../../shared/errors.js';
import { shown } from '../../shared/shown.js';

/**
 * Accepts base64 in the forms that clients send: bare, in literal quotes, as Python prints bytes, or
 * as a data URL.
 * @param what names the input in the error
 * @throws ScorelineError `input_invalid`, `base64_invalid`
 */
export function decodeBase64(value: unknown, what: string): Buffer {
  if (typeof value !== 'string') {
    throw new ScorelineError(
      'input_invalid',
      `Expected ${what} to be a string of base64; got ${shown(value)}.`,
    );
  }
  const inLines = value
    .trim()
    .replace(/^b(?=['"])/, '')
    .replace(/^(['"])([\s\S]*)\1$/, '$2')
    .replace(/^data:[^,]{0,200};base64,/, '');
  const bare = inLines.includes('\n') ? joinLines(inLines) : inLines;
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(bare) || bare.length % 4 === 1) {
    throw new ScorelineError(
      'base64_invalid',
      `Expected ${what} to be base64; it contains other characters or is cut off.`,
    );
  }
  return Buffer.from(bare, 'base64');
}

/**
 * Leaves out line breaks and the blanks around them. A text with other blanks stays as it is: one inside a line was a
 * plus sign before a form or an address decoded it. To split a text takes many times as long if its lines are short.
 */
function joinLines(text: string): string {
  const bytes = Buffer.allocUnsafe(text.length);
  let length = 0;
  let hasBlank = false;
  // As if a line break were before the text.
  let hasBreak = true;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit === 0x0a) hasBreak = true;
    else if (unit > 0x20 && unit < 0x7f) {
      if (hasBlank && !hasBreak) return text;
      bytes[length++] = unit;
      hasBlank = false;
      hasBreak = false;
    } else if (unit === 0x20 || /\s/.test(text.charAt(at))) hasBlank = true;
    else return text;
  }
  return bytes.toString('latin1', 0, length);
}
