// The names of the files in a zip archive, from its directory at the end. Frameworks save networks as archives, and
// the names tell which framework it was.

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** Of the record at the end of an archive, and of an entry of its directory. */
const ending = { signature: 0x06054b50, bytes: 22, commentBytesMax: 65_535 };
const entry = { signature: 0x02014b50, bytes: 46 };
/** The directory of a network of many layers takes far less. */
const directoryBytesMax = 64 * 1024 * 1024;

/** Returns the names in an archive; none if the file is cut off or has no directory that can be read. */
export function readZipNames(file: string): string[] {
  const descriptor = openSync(file, 'r');
  try {
    const { size } = fstatSync(descriptor);
    const tail = readAt(
      descriptor,
      Math.max(0, size - ending.bytes - ending.commentBytesMax),
      size,
    );
    const at = tail.lastIndexOf(bytesOf(ending.signature));
    if (at < 0 || at + ending.bytes > tail.length) return [];
    // A directory behind 4 GB has its address elsewhere, but it is right before the record of the end.
    const bytes = tail.readUInt32LE(at + 12);
    const start = tail.readUInt32LE(at + 16);
    if (bytes > directoryBytesMax) return [];
    if (start !== 0xffffffff) return namesIn(readAt(descriptor, start, start + bytes));
    return namesIn(readAt(descriptor, Math.max(0, size - directoryBytesMax), size));
  } finally {
    closeSync(descriptor);
  }
}

function namesIn(directory: Buffer): string[] {
  const names: string[] = [];
  let at = directory.indexOf(bytesOf(entry.signature));
  while (at >= 0 && at + entry.bytes <= directory.length) {
    if (directory.readUInt32LE(at) !== entry.signature) break;
    const [name, extra, comment] = [28, 30, 32].map((field) => directory.readUInt16LE(at + field));
    const from = at + entry.bytes;
    names.push(directory.toString('utf8', from, from + Number(name)));
    at = from + Number(name) + Number(extra) + Number(comment);
  }
  return names;
}

function bytesOf(signature: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(signature);
  return bytes;
}

function readAt(descriptor: number, from: number, to: number): Buffer {
  const buffer = Buffer.alloc(Math.max(0, to - from));
  return buffer.subarray(0, readSync(descriptor, buffer, 0, buffer.length, from));
}
