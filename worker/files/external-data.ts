// Finds the files in which an ONNX file keeps weights outside of itself. It reads the protocol
// buffers of onnx.proto only as far as it needs to, and skips the weights inside.

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** The messages of onnx.proto that lead to external data, each with its fields that do. */
const messages = {
  model: { 7: 'graph', 25: 'function' },
  function: { 7: 'node' },
  graph: { 1: 'node', 5: 'tensor', 15: 'sparseTensor' },
  node: { 5: 'attribute' },
  attribute: {
    5: 'tensor',
    6: 'graph',
    10: 'tensor',
    11: 'graph',
    22: 'sparseTensor',
    23: 'sparseTensor',
  },
  sparseTensor: { 1: 'tensor', 2: 'tensor' },
  tensor: { 13: 'entry' },
  /** A key and a value of a tensor's external data, such as `location` and a path. */
  entry: { 1: 'text', 2: 'text' },
  text: {},
} as const;

type Kind = keyof typeof messages;

/**
 * Returns the paths, relative to the ONNX file, of the files with its external data. Of a file that
 * is damaged, it returns those before the damage; ONNX Runtime says what is wrong with it.
 */
export function findExternalData(file: string): string[] {
  const locations = new Set<string>();
  const bytes = new FileBytes(file);
  try {
    walk(bytes, 'model', { from: 0, to: bytes.length }, (key, value) => {
      if (key === 'location') locations.add(value);
    });
  } finally {
    bytes.close();
  }
  return [...locations];
}

interface Span {
  readonly from: number;
  readonly to: number;
}

type OnEntry = (key: string, value: string) => void;

/** Visits the fields of a message and, of those that lead on, their messages. */
function walk(bytes: FileBytes, kind: Kind, { from, to }: Span, onEntry: OnEntry): void {
  const inner: Readonly<Record<number, Kind>> = messages[kind];
  const texts: string[] = [];
  for (let at = from; at < to; ) {
    const [tag, afterTag] = bytes.varint(at);
    const span = spanOfField(bytes, tag % 8, afterTag);
    if (!span || span.to > to) return;
    const next = tag % 8 === 2 ? inner[Math.floor(tag / 8)] : undefined;
    if (next === 'text') texts.push(bytes.text(span));
    else if (next) walk(bytes, next, span, onEntry);
    at = span.to;
  }
  if (kind === 'entry') onEntry(texts[0] ?? '', texts[1] ?? '');
}

/** Returns where the content of a field is, by its wire type; undefined if there is no such type. */
function spanOfField(bytes: FileBytes, wireType: number, at: number): Span | undefined {
  if (wireType === 0) return { from: at, to: bytes.varint(at)[1] };
  if (wireType === 1) return { from: at, to: at + 8 };
  if (wireType === 5) return { from: at, to: at + 4 };
  if (wireType !== 2) return undefined;
  const [length, from] = bytes.varint(at);
  return { from, to: from + length };
}

const windowBytes = 65_536;

/** The bytes of a file, of which it holds a window in memory. */
class FileBytes {
  readonly length: number;
  readonly #descriptor: number;
  readonly #window = Buffer.alloc(windowBytes);
  #start = 0;
  #end = 0;

  constructor(file: string) {
    this.#descriptor = openSync(file, 'r');
    this.length = fstatSync(this.#descriptor).size;
  }

  /** Returns a number of variable length, and the position after it. */
  varint(start: number): [value: number, after: number] {
    let value = 0;
    for (let at = start, factor = 1; ; at++, factor *= 128) {
      const byte = this.#byte(at);
      value += (byte % 128) * factor;
      if (byte < 128) return [value, at + 1];
    }
  }

  text({ from, to }: Span): string {
    const text = Buffer.alloc(to - from);
    readSync(this.#descriptor, text, 0, text.length, from);
    return text.toString();
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  /** Returns 0 after the end, which ends every number. */
  #byte(at: number): number {
    if (at < this.#start || at >= this.#end) {
      this.#start = at;
      this.#end = at + readSync(this.#descriptor, this.#window, 0, windowBytes, at);
    }
    return at < this.#end ? (this.#window[at - this.#start] as number) : 0;
  }
}
