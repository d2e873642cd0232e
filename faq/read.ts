// Reads somebody's FAQ from a file.

import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { checkEntries, type Entry, invalid, type ReadEntry, type Skip } from './entries.js';
import { readCsv } from './read-csv.js';
import { readJson } from './read-json.js';
import { readMarkdown } from './read-markdown.js';

const bytesMax = 50_000_000;

const readers: Readonly<Record<string, (file: string, text: string, skip: Skip) => ReadEntry[]>> = {
  '.csv': readCsv,
  '.tsv': readCsv,
  '.json': readJson,
  '.md': readMarkdown,
  '.markdown': readMarkdown,
};

/**
 * @param complain is told what of the file is not used
 * @throws ScorelineError `configuration_invalid`, with the file, the place, what was expected and what came
 */
export function readFaq(file: string, complain: (line: string) => void): Entry[] {
  const reader = readers[path.extname(file).toLowerCase()];
  if (!reader) {
    throw invalid(file, [`expected a file that ends in ${Object.keys(readers).join(', ')}`]);
  }
  const stats = statSync(file, { throwIfNoEntry: false });
  if (!stats?.isFile()) throw invalid(file, ['expected a file; there is none']);
  if (stats.size > bytesMax) {
    throw invalid(file, [`expected at most ${bytesMax} bytes; got ${stats.size}`]);
  }
  const skip: Skip = (place, what) => complain(`${file}: ${place}: not used: ${what}.`);
  return checkEntries(file, reader(file, decode(file), skip));
}

/** Spreadsheets save in other encodings, in which letters beyond ASCII would become others. */
function decode(file: string): string {
  const bytes = readFileSync(file);
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    if (!text.includes('\0')) return text;
  } catch {}
  throw invalid(file, [
    `${placeOfFault(bytes)}: expected UTF-8; got another encoding. Save the file as UTF-8: in Excel, as "CSV UTF-8"`,
  ]);
}

function placeOfFault(bytes: Buffer): string {
  let line = 0;
  for (const part of bytes.toString('latin1').split('\n')) {
    line++;
    if (part.includes('\0') || Buffer.from(part, 'latin1').toString('utf8').includes('\ufffd'))
      break;
  }
  return `line ${line}`;
}
