// Writes the parts of an ONNX file, in the protocol buffers of onnx.proto, and adds nodes to a file.

import { readFileSync } from 'node:fs';
import { ProtocolBuffer } from '../worker/files/protocol-buffer.js';

/** The numbers of fields and types in onnx.proto. */
const graphField = 7;
const opsetField = 8;
const outputField = 12;
const floatType = 1;
const int64Type = 7;

/** What is added to a graph. */
export interface Addition {
  readonly nodes: readonly Buffer[];
  readonly constants: readonly Buffer[];
  /** The outputs, in place of those that the graph has. */
  readonly outputs: readonly Buffer[];
}

/** Returns the content of an ONNX file with more nodes, and with other outputs. */
export function extendGraph(file: string, { nodes, constants, outputs }: Addition): Buffer {
  const bytes = readFileSync(file);
  const buffer = new ProtocolBuffer(file);
  try {
    const model = [field(1, 9), field(2, 'scoreline')];
    for (const part of buffer.fields(buffer.span)) {
      if (part.number === opsetField)
        model.push(field(opsetField, bytes.subarray(part.from, part.to)));
      if (part.number !== graphField) continue;
      const graph = [...buffer.fields(part)]
        .filter(({ number }) => number !== outputField)
        .map(({ number, from, to }) => field(number, bytes.subarray(from, to)));
      graph.push(...nodes.map((node) => field(1, node)));
      graph.push(...constants.map((constant) => field(5, constant)));
      graph.push(...outputs.map((output) => field(outputField, output)));
      model.push(field(graphField, Buffer.concat(graph)));
    }
    return Buffer.concat(model);
  } finally {
    buffer.close();
  }
}

export function node(
  operator: string,
  inputs: readonly string[],
  output: string,
  attributes: readonly Buffer[] = [],
): Buffer {
  return Buffer.concat([
    ...inputs.map((name) => field(1, name)),
    field(2, output),
    field(4, operator),
    ...attributes.map((attribute) => field(5, attribute)),
  ]);
}

export function textAttribute(name: string, text: string): Buffer {
  return Buffer.concat([field(1, name), field(4, text), field(20, 3)]);
}

export function integerAttribute(name: string, number: number): Buffer {
  return Buffer.concat([field(1, name), field(3, number), field(20, 2)]);
}

export function integersAttribute(name: string, numbers: readonly number[]): Buffer {
  return Buffer.concat([
    field(1, name),
    ...numbers.map((number) => field(8, number)),
    field(20, 7),
  ]);
}

export function floats(name: string, shape: readonly number[], numbers: Float32Array): Buffer {
  return tensor(name, { type: floatType, shape, numbers });
}

export function integers(
  name: string,
  shape: readonly number[],
  numbers: readonly number[],
): Buffer {
  return tensor(name, { type: int64Type, shape, numbers: BigInt64Array.from(numbers, BigInt) });
}

function tensor(
  name: string,
  parts: { type: number; shape: readonly number[]; numbers: Float32Array | BigInt64Array },
): Buffer {
  const { buffer, byteOffset, byteLength } = parts.numbers;
  return Buffer.concat([
    ...parts.shape.map((size) => field(1, size)),
    field(2, parts.type),
    field(8, name),
    field(9, Buffer.from(buffer, byteOffset, byteLength)),
  ]);
}

/** Describes an output of floats. A size that varies has a name. */
export function floatOutput(name: string, shape: readonly (number | string)[]): Buffer {
  const sizes = shape.map((size) => field(1, field(typeof size === 'number' ? 1 : 2, size)));
  const type = Buffer.concat([field(1, floatType), field(2, Buffer.concat(sizes))]);
  return Buffer.concat([field(1, name), field(2, field(1, type))]);
}

/** Encodes a field of a message: a number, a text, or another message. */
export function field(key: number, content: number | string | Uint8Array): Buffer {
  if (typeof content === 'number') return Buffer.from([...varint(key * 8), ...varint(content)]);
  const bytes = Buffer.from(content as string);
  return Buffer.concat([Buffer.from([...varint(key * 8 + 2), ...varint(bytes.length)]), bytes]);
}

function varint(number: number): number[] {
  return number < 128 ? [number] : [(number % 128) + 128, ...varint(Math.floor(number / 128))];
}
