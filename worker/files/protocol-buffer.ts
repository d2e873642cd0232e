// Reads a protocol buffer in a file, field by field. Fields that nobody asks for are skipped, so a file
// of gigabytes costs a few reads.
//
// Everything that the format forbids is refused, and also what it allows but no exporter writes, such as groups and
// overlong tags. Otherwise another parser could read on where this one stops, and find what this one has not seen.

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** Where the content of a message or a field lies in the file. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** A field that is a text, bytes or a message. */
export interface Field extends Span {
  readonly number: number;
}

/** The file is no protocol buffer, or none that we read. */
export class UnreadableBuffer extends Error {
  override readonly name = 'UnreadableBuffer';

  constructor(at: number) {
    super(`at byte ${at}`);
  }
}

const windowBytes = 65_536;
/** Texts are names and paths. */
const textBytesMax = 4096;
const tagBytesMax = 5;
const numberBytesMax = 10;

export class ProtocolBuffer {
  readonly #descriptor: number;
  readonly #length: number;
  readonly #window = Buffer.alloc(windowBytes);
  #start = 0;
  #end = 0;

  constructor(file: string) {
    this.#descriptor = openSync(file, 'r');
    this.#length = fstatSync(this.#descriptor).size;
  }

  get span(): Span {
    return { from: 0, to: this.#length };
  }

  /**
   * Yields the fields of a message that are a text, bytes or a message.
   * @throws UnreadableBuffer
   */
  *fields({ from, to }: Span): Generator<Field> {
    for (let at = from; at < to; ) {
      const [tag, afterTag] = this.#varint(at, tagBytesMax);
      const number = Math.floor(tag / 8);
      const content = this.#contentOf(tag % 8, afterTag);
      if (number === 0 || tag >= 2 ** 32 || !content || content.to > to) {
        throw new UnreadableBuffer(at);
      }
      if (tag % 8 === 2) yield { number, ...content };
      at = content.to;
    }
  }

  /** @throws UnreadableBuffer if it is too long for a name or a path, or not in UTF-8 */
  text({ from, to }: Span, bytesMax = textBytesMax): string {
    if (to - from > bytesMax) throw new UnreadableBuffer(from);
    const bytes = Buffer.alloc(to - from);
    readSync(this.#descriptor, bytes, 0, bytes.length, from);
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      throw new UnreadableBuffer(from);
    }
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  /** Returns undefined for a wire type that is not read: groups, and two that do not exist. */
  #contentOf(wireType: number, at: number): Span | undefined {
    if (wireType === 0) return { from: at, to: this.#varint(at, numberBytesMax)[1] };
    if (wireType === 1) return { from: at, to: at + 8 };
    if (wireType === 5) return { from: at, to: at + 4 };
    if (wireType !== 2) return undefined;
    const [length, from] = this.#varint(at, tagBytesMax);
    return { from, to: from + length };
  }

  /** Returns a number of variable length, and the position after it. */
  #varint(start: number, bytesMax: number): [value: number, after: number] {
    let value = 0;
    for (let at = start, factor = 1; at < start + bytesMax; at++, factor *= 128) {
      const byte = this.#byte(at);
      value += (byte % 128) * factor;
      if (byte < 128) return [value, at + 1];
    }
    throw new UnreadableBuffer(start);
  }

  /** Returns 0 after the end, which ends every number. Its field then reaches beyond its message. */
  #byte(at: number): number {
    if (at < this.#start || at >= this.#end) {
      this.#start = at;
      this.#end = at + readSync(this.#descriptor, this.#window, 0, windowBytes, at);
    }
    return at < this.#end ? (this.#window[at - this.#start] as number) : 0;
  }
}
