// Reads a file or the body of an answer line by line, as bytes.
//
// Only a newline ends a line. `node:readline` ends one at U+2028 as well, which JSON allows inside a string, and it
// replaces bytes that are not valid in UTF-8.

import { createReadStream } from 'node:fs';

const newline = 0x0a;

/**
 * Yields each line without its newline. The last one may have none.
 * @param bytesMax a longer line is cut off behind so many bytes and a chunk, so it takes no more memory
 */
export function readLines(file: string, bytesMax?: number): AsyncGenerator<Buffer> {
  return splitLines(createReadStream(file), bytesMax);
}

export async function* splitLines(
  chunks: AsyncIterable<Uint8Array>,
  bytesMax = Number.POSITIVE_INFINITY,
): AsyncGenerator<Buffer> {
  let pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    let from = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, from)) {
      yield Buffer.concat([...pieces, chunk.subarray(from, end)]);
      pieces = [];
      bytes = 0;
      from = end + 1;
    }
    if (bytes <= bytesMax) pieces.push(chunk.subarray(from));
    bytes += chunk.length - from;
  }
  const rest = Buffer.concat(pieces);
  if (rest.length > 0) yield rest;
}
