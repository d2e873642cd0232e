// A model whose input says how long it runs. It reads a number, runs as many rounds of an ONNX loop
// as the number without its last digit says, and answers with the last digit. "7" gives class 7 at
// once. "1230007" gives class 7 after 123,000 rounds. A number of 19 digits never ends in practice.
// A text that is not a number makes the model throw.

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { readModels } from '../../shared/registry/models.js';
import { encodeStrings } from '../../shared/tensors/tensors.js';
import { openOnnxEngine } from '../../worker/engine/onnx.js';
import {
  bigints,
  elementTypes,
  floats,
  graph,
  integer,
  node,
  onnxModel,
  subgraph,
  tensor,
  value,
} from '../onnx.js';
import { sourceOf, writeFolder } from '../unit/sample-model.js';

export const counterName = 'counter';
/** An input that never ends. */
export const hangsForever = '9000000000000000003';

/** Returns an input that takes roughly `ms` and is answered with the digit. */
export function countFor(ms: number, digit: number): string {
  return String(Math.round(ms * roundsPerMs) * 10 + digit);
}

interface CounterOptions {
  readonly runMsMax?: number;
  readonly deadlineMs?: number;
  readonly batchMax?: number;
  readonly device?: object;
}

/** Adds the model to a models folder. */
export function addCounter(directory: string, options: CounterOptions = {}): void {
  writeCounter(path.join(directory, counterName), { ...options, version, letter: 'd' });
}

/**
 * Writes a version of the model into a folder.
 * @param options.letter begins the ids of its classes
 * @param options.network another file instead of its network
 */
export function writeCounter(
  folder: string,
  options: CounterOptions & { version: string; letter: string; network?: Buffer },
): void {
  const { runMsMax = 60_000, deadlineMs = 120_000, batchMax = 4, device } = options;
  const { network = model } = options;
  mkdirSync(folder, { recursive: true });
  const manifest = {
    name: counterName,
    version: options.version,
    description: 'Counts as far as its input says.',
    source: sourceOf('model.onnx', network),
    input: { kind: 'text' },
    output: { kind: 'classification', labels: 'labels.txt', top: 1 },
    batch: { max: batchMax },
    device: device ?? { type: 'cpu', threads: 1 },
    deadlineMs,
    runMsMax,
    example: { input: '1', expected: { label: 'digit 1' } },
  };
  writeFileSync(path.join(folder, 'model.onnx'), network);
  writeFileSync(path.join(folder, 'labels.txt'), labels.replaceAll(/^d/gm, options.letter));
  writeFileSync(path.join(folder, 'model.yaml'), JSON.stringify(manifest));
}

const { FP32: float, INT64: int64, BYTES: string, BOOL: bool } = elementTypes;

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
  return onnxModel({
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
}

const version = '1';
const model = makeGraph();
const labels = Array.from({ length: 10 }, (_, digit) => `d${digit} digit ${digit}\n`).join('');

/** In this process, at its quickest. */
const roundsPerMs = await measureSpeed();

async function measureSpeed(): Promise<number> {
  const rounds = 20_000;
  const directory = writeFolder({});
  addCounter(directory);
  const device = { type: 'cpu', id: 0, threads: 1, instances: 1, memoryArena: true } as const;
  const file = path.join(directory, counterName, 'model.onnx');
  const engine = await openOnnxEngine({ file, device }, { runMsMax: 60_000, onLost: () => {} });
  const data = encodeStrings([`${rounds}0`]);
  const times: number[] = [];
  for (let run = 0; run < 5; run++) {
    const input = { name: 'text', datatype: 'BYTES', shape: [1], data } as const;
    times.push((await engine.run([input])).computeMs);
  }
  await engine.close();
  rmSync(directory, { recursive: true });
  return rounds / Math.min(...times);
}

/** The counter's queue, wherever its folder is. */
export const counterQueue = readQueue();

function readQueue(): string {
  const directory = writeFolder({});
  addCounter(directory);
  const [counter] = readModels({ directory, filesNeeded: false });
  rmSync(directory, { recursive: true });
  return counter?.queue as string;
}
