// A model whose input says how long it runs. It reads a number, runs as many rounds of an ONNX loop
// as the number without its last digit says, and answers with the last digit. "7" gives class 7 at
// once. "1230007" gives class 7 after 123,000 rounds. A number of 19 digits never ends in practice.
// A text that is not a number makes the model throw.
//
// This file writes the graph byte by byte, in the protocol buffers of onnx.proto.

import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

export const counterName = 'counter';
/** Rounds in about a millisecond. Machines differ, so no test may depend on it. */
const roundsPerMs = 1000;
/** An input that never ends. */
export const hangsForever = '9000000000000000003';

/** Returns an input that takes roughly `ms` and is answered with the digit. */
export function countFor(ms: number, digit: number): string {
  return String(ms * roundsPerMs * 10 + digit);
}

/** Adds the model to a models folder. */
export function addCounter(
  directory: string,
  options: { runMsMax?: number; deadlineMs?: number; batchMax?: number } = {},
): void {
  const { runMsMax = 60_000, deadlineMs = 30_000, batchMax = 4 } = options;
  const folder = path.join(directory, counterName);
  mkdirSync(folder, { recursive: true });
  const model = makeGraph();
  const manifest = {
    name: counterName,
    version: '1',
    description: 'Counts as far as its input says.',
    source: {
      file: 'model.onnx',
      bytes: model.length,
      sha256: createHash('sha256').update(model).digest('hex'),
    },
    input: { kind: 'text' },
    output: { kind: 'classification', labels: 'labels.txt', top: 1 },
    batch: { max: batchMax },
    device: { type: 'cpu', threads: 1 },
    deadlineMs,
    runMsMax,
    example: { input: '1', expected: { label: 'digit 1' } },
  };
  const labels = Array.from({ length: 10 }, (_, digit) => `d${digit} digit ${digit}\n`);
  writeFileSync(path.join(folder, 'model.onnx'), model);
  writeFileSync(path.join(folder, 'model.yaml'), JSON.stringify(manifest));
  writeFileSync(path.join(folder, 'labels.txt'), labels.join(''));
}

const float = 1;
const int64 = 7;
const string = 8;
const bool = 9;

function makeGraph(): Buffer {
  const body = graph({
    nodes: [
      node('Identity', ['go'], ['goOn']),
      // The body needs an operator that no optimiser can remove.
      node('Cos', ['value'], ['next']),
    ],
    inputs: [value('round', int64, []), value('go', bool, []), value('value', float, [])],
    outputs: [value('goOn', bool, []), value('next', float, [])],
  });
  const whole = graph({
    nodes: [
      node('Cast', ['text'], ['number'], integer('to', int64)),
      node('Mod', ['number', 'ten'], ['digit']),
      node('OneHot', ['digit', 'ten', 'offOn'], ['scores']),
      node('Div', ['number', 'ten'], ['rounds']),
      node('ReduceSum', ['rounds'], ['total'], integer('keepdims', 0)),
      node('Loop', ['total', '', 'zero'], ['counted'], subgraph('body', body)),
      node('Mul', ['counted', 'zero'], ['nothing']),
      node('Add', ['scores', 'nothing'], ['output']),
    ],
    constants: [
      tensor('ten', int64, [], bigints([10n])),
      tensor('zero', float, [], floats([0])),
      tensor('offOn', float, [2], floats([0, 1])),
    ],
    inputs: [value('text', string, ['N'])],
    outputs: [value('output', float, ['N', 10])],
  });
  const opset = [field(1, ''), field(2, 13)];
  return Buffer.concat([field(1, 8), field(7, whole), field(8, Buffer.concat(opset))]);
}

function graph(parts: {
  nodes: Buffer[];
  constants?: Buffer[];
  inputs: Buffer[];
  outputs: Buffer[];
}): Buffer {
  return Buffer.concat([
    ...parts.nodes.map((bytes) => field(1, bytes)),
    field(2, 'graph'),
    ...(parts.constants ?? []).map((bytes) => field(5, bytes)),
    ...parts.inputs.map((bytes) => field(11, bytes)),
    ...parts.outputs.map((bytes) => field(12, bytes)),
  ]);
}

function node(operator: string, inputs: string[], outputs: string[], attribute?: Buffer): Buffer {
  return Buffer.concat([
    ...inputs.map((name) => field(1, name)),
    ...outputs.map((name) => field(2, name)),
    field(4, operator),
    ...(attribute ? [field(5, attribute)] : []),
  ]);
}

function integer(name: string, number: number): Buffer {
  return Buffer.concat([field(1, name), field(3, number), field(20, 2)]);
}

function subgraph(name: string, bytes: Buffer): Buffer {
  return Buffer.concat([field(1, name), field(6, bytes), field(20, 5)]);
}

function value(name: string, type: number, dims: (number | string)[]): Buffer {
  const shape = dims.map((dim) => field(1, field(typeof dim === 'number' ? 1 : 2, dim)));
  const tensorType = Buffer.concat([field(1, type), field(2, Buffer.concat(shape))]);
  return Buffer.concat([field(1, name), field(2, field(1, tensorType))]);
}

function tensor(name: string, type: number, dims: number[], data: Buffer): Buffer {
  return Buffer.concat([
    ...dims.map((dim) => field(1, dim)),
    field(2, type),
    field(8, name),
    field(9, data),
  ]);
}

function floats(numbers: number[]): Buffer {
  return Buffer.from(new Float32Array(numbers).buffer);
}

function bigints(numbers: bigint[]): Buffer {
  return Buffer.from(new BigInt64Array(numbers).buffer);
}

/** Encodes one field of a message. The content is a number, a text, or another message. */
function field(key: number, content: number | string | Buffer): Buffer {
  if (typeof content === 'number') return Buffer.from([...varint(key * 8), ...varint(content)]);
  const bytes = Buffer.from(content);
  return Buffer.concat([Buffer.from([...varint(key * 8 + 2), ...varint(bytes.length)]), bytes]);
}

function varint(number: number): number[] {
  return number < 128 ? [number] : [(number % 128) + 128, ...varint(Math.floor(number / 128))];
}
