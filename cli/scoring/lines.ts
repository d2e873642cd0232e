// Reads a file or the body of an answer line by line, as bytes.
//
// Only a newline ends a line. `node:readline` ends one at U+2028 as well, which JSON allows inside a string, and it
// replaces bytes that are not valid in UTF-8.

import { createReadStream } from 'node:fs';

const newline = 0x0a;

/** Yields each line without its newline. The last one may have none. */
export function readLines(file: string): AsyncGenerator<Buffer> {
  return splitLines(createReadStream(file));
}

export async function* splitLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let pieces: Uint8Array[] = [];
  for await (const chunk of chunks) {
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
