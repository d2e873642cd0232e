// Finds what an ONNX file needs from outside of itself: the files to which it has moved weights, and the
// operators that it uses but does not define. It reads the messages of onnx.proto only as far as it
// needs to, and skips the weights inside.

import { ProtocolBuffer, type Span, UnreadableBuffer } from './protocol-buffer.js';

/** The messages of onnx.proto that lead to what is looked for, each with its fields that do. */
const messages = {
  model: { 7: 'graph', 20: 'training', 25: 'function' },
  training: { 1: 'graph', 2: 'graph' },
  function: { 1: 'text', 7: 'node', 10: 'text', 11: 'attribute' },
  graph: { 1: 'node', 5: 'tensor', 15: 'sparseTensor' },
  node: { 4: 'text', 5: 'attribute', 7: 'text' },
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
} as const;

type Kind = keyof typeof messages;
type Inner = Readonly<Record<number, Kind | 'text'>>;

/** As in the protocol buffers of ONNX Runtime. */
const depthMax = 100;

export interface Operator {
  /** Empty for the operators of ONNX itself. */
  readonly domain: string;
  readonly name: string;
}

export interface OutsideNeeds {
  /** The paths of the files with external data, relative to the ONNX file. */
  readonly externalData: readonly string[];
  /** The operators that the file uses and does not define as functions, each once. */
  readonly operators: readonly Operator[];
}

/** @throws UnreadableBuffer if the file is damaged, or no ONNX file */
export function readOutsideNeeds(file: string): OutsideNeeds {
  const locations = new Set<string>();
  const used = new Map<string, Operator>();
  const defined = new Set<string>();
  const onMessage = (kind: Kind, texts: Texts) => {
    if (kind === 'entry' && texts[1] === 'location') locations.add(texts[2] ?? '');
    else if (kind === 'function') defined.add(idOf(operatorOf(texts[10], texts[1])));
    else if (kind === 'node') {
      const operator = operatorOf(texts[7], texts[4]);
      used.set(idOf(operator), operator);
    }
  };
  const buffer = new ProtocolBuffer(file);
  try {
    walk(buffer, { kind: 'model', span: buffer.span, depth: 0 }, onMessage);
  } finally {
    buffer.close();
  }
  for (const id of defined) used.delete(id);
  return { externalData: [...locations], operators: [...used.values()] };
}

/** The texts of a message, by the numbers of their fields. Of several with one number the last counts. */
type Texts = Readonly<Record<number, string>>;

interface Message {
  readonly kind: Kind;
  readonly span: Span;
  readonly depth: number;
}

/** Visits the messages inside a message, and then itself. */
function walk(
  buffer: ProtocolBuffer,
  { kind, span, depth }: Message,
  onMessage: (kind: Kind, texts: Texts) => void,
): void {
  if (depth > depthMax) throw new UnreadableBuffer(span.from);
  const inner: Inner = messages[kind];
  const texts: Record<number, string> = {};
  for (const field of buffer.fields(span)) {
    const next = inner[field.number];
    if (next === 'text') texts[field.number] = buffer.text(field);
    else if (next) walk(buffer, { kind: next, span: field, depth: depth + 1 }, onMessage);
  }
  onMessage(kind, texts);
}

function operatorOf(domain = '', name = ''): Operator {
  return { domain: domain === 'ai.onnx' ? '' : domain, name };
}

function idOf({ domain, name }: Operator): string {
  return JSON.stringify([domain, name]);
}
