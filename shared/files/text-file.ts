// Reads text files. In those that people write, bytes of another encoding are an error: read as UTF-8, they would
// become other letters without a word.

import { isUtf8 } from 'node:buffer';
import { readFileSync, statSync } from 'node:fs';
import { NoFile } from './unreadable.js';

/** The message goes on after the name of the file. */
export class NotUtf8 extends Error {
  /** The first line that is not UTF-8, from 1. */
  readonly line: number;

  constructor(line: number) {
    super(`line ${line}: expected text in UTF-8; got another encoding. Save the file in UTF-8`);
    this.line = line;
  }
}

/**
 * Returns the text of a file, without a byte order mark.
 * @throws NotUtf8
 * @throws NoFile; NodeJS.ErrnoException if it cannot be read
 */
export function readUtf8File(file: string): string {
  const stats = statSync(file);
  // To read a pipe or a device may never end.
  if (!stats.isFile() && !stats.isDirectory()) throw new NoFile();
  const bytes = readFileSync(file);
  const text = bytes.toString('utf8');
  // UTF-16 of plain English is valid UTF-8, but for a NUL beside each letter.
  if (isUtf8(bytes) && !text.includes('\0')) return text.replace(/^\uFEFF/, '');
  throw new NotUtf8(lineOf(bytes));
}

/** Returns the text of a file, or undefined if it cannot be read. */
export function readTextIfAny(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

function lineOf(bytes: Buffer): number {
  let line = 1;
  for (let from = 0; from < bytes.length; line++) {
    const end = bytes.indexOf('\n', from);
    const part = bytes.subarray(from, end < 0 ? bytes.length : end);
    if (!isUtf8(part) || part.includes(0)) break;
    from = end < 0 ? bytes.length : end + 1;
  }
  return line;
}
