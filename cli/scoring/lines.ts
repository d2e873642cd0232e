// Reads a file line by line, as bytes.
//
// Only a newline ends a line. `node:readline` ends one at U+2028 as well, which JSON allows inside a string, and it
// replaces bytes that are not valid in UTF-8.

import { createReadStream } from 'node:fs';

const newline = 0x0a;

/** Yields each line without its newline. The last one may have none. */
export async function* readLines(file: string): AsyncGenerator<Buffer> {
  let pieces: Buffer[] = [];
  for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
    let from = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, from)) {
      yield Buffer.concat([...pieces, chunk.subarray(from, end)]);
      pieces = [];
      from = end + 1;
    }
    pieces.push(chunk.subarray(from));
  }
  const rest = Buffer.concat(pieces);
  if (rest.length > 0) yield rest;
}
