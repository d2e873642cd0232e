// Small ONNX models for tests, written byte by byte in the protocol buffers of onnx.proto.

import { field } from '../faq/onnx-writer.js';
import type { Datatype } from '../shared/tensors/tensors.js';

export { field };

/** The values of TensorProto.DataType. */
export const elementTypes: Readonly<Record<Datatype, number>> = {
  FP32: 1,
  UINT8: 2,
  INT8: 3,
  UINT16: 4,
  INT16: 5,
  INT32: 6,
  INT64: 7,
  BYTES: 8,
  BOOL: 9,
  FP16: 10,
  FP64: 11,
  UINT32: 12,
  UINT64: 13,
};

export interface GraphParts {
  readonly nodes: Buffer[];
  readonly constants?: Buffer[];
  readonly inputs: Buffer[];
  readonly outputs: Buffer[];
}

/** Encodes a whole model file around a graph. */
export function onnxModel(parts: GraphParts, version = 13): Buffer {
  const opset = [field(1, ''), field(2, version)];
  return Buffer.concat([field(1, 8), field(7, graph(parts)), field(8, Buffer.concat(opset))]);
}

/** Adds an entry to the metadata of a model. */
export function withMetadata(model: Buffer, key: string, text: string): Buffer {
  return Buffer.concat([model, field(14, Buffer.concat([field(1, key), field(2, text)]))]);
}

/** Describes a value that is a sequence of tensors, and so not a tensor. */
export function sequence(name: string, type: number): Buffer {
  const element = field(1, field(1, type));
  return Buffer.concat([field(1, name), field(2, field(4, field(1, element)))]);
}

export function graph(parts: GraphParts): Buffer {
  return Buffer.concat([
    ...parts.nodes.map((bytes) => field(1, bytes)),
    field(2, 'graph'),
    ...(parts.constants ?? []).map((bytes) => field(5, bytes)),
    ...parts.inputs.map((bytes) => field(11, bytes)),
    ...parts.outputs.map((bytes) => field(12, bytes)),
  ]);
}

export function node(
  operator: string,
  inputs: string[],
  outputs: string[],
  attribute?: Buffer,
): Buffer {
  return Buffer.concat([
    ...inputs.map((name) => field(1, name)),
    ...outputs.map((name) => field(2, name)),
    field(4, operator),
    ...(attribute ? [field(5, attribute)] : []),
  ]);
}

/** Puts a node's operator into another domain than that of ONNX. */
export function inDomain(domain: string, bytes: Buffer): Buffer {
  return Buffer.concat([bytes, field(7, domain)]);
}

/** Adds to a model an operator that is a function of another one, with one input and one output. */
export function withFunction(model: Buffer, operator: [domain: string, name: string], of: string) {
  const [domain, name] = operator;
  const opset = (version: number, of: string) => Buffer.concat([field(1, of), field(2, version)]);
  const parts = [
    field(1, name),
    field(4, 'in'),
    field(5, 'out'),
    field(7, node(of, ['in'], ['out'])),
    field(9, opset(13, '')),
    field(10, domain),
  ];
  return Buffer.concat([model, field(25, Buffer.concat(parts)), field(8, opset(1, domain))]);
}

export function integer(name: string, number: number): Buffer {
  return Buffer.concat([field(1, name), field(3, number), field(20, 2)]);
}

export function integers(name: string, numbers: number[]): Buffer {
  return Buffer.concat([field(1, name), ...numbers.map((each) => field(8, each)), field(20, 7)]);
}

export function subgraph(name: string, bytes: Buffer): Buffer {
  return Buffer.concat([field(1, name), field(6, bytes), field(20, 5)]);
}

export function tensorAttribute(name: string, bytes: Buffer): Buffer {
  return Buffer.concat([field(1, name), field(5, bytes), field(20, 4)]);
}

export function value(name: string, type: number, dims: (number | string)[]): Buffer {
  const shape = dims.map((dim) => field(1, field(typeof dim === 'number' ? 1 : 2, dim)));
  const tensorType = Buffer.concat([field(1, type), field(2, Buffer.concat(shape))]);
  return Buffer.concat([field(1, name), field(2, field(1, tensorType))]);
}

export function tensor(name: string, type: number, dims: number[], data: Buffer): Buffer {
  return Buffer.concat([
    ...dims.map((dim) => field(1, dim)),
    field(2, type),
    field(8, name),
    field(9, data),
  ]);
}

/**
 * Describes a tensor whose data is in another file.
 * @param writeEntry for tests that write the keys and values in an unusual way
 */
export function externalTensor(
  name: string,
  type: number,
  dims: number[],
  external: Record<string, string>,
  writeEntry = (key: string, value: string): Buffer =>
    Buffer.concat([field(1, key), field(2, value)]),
): Buffer {
  const entries = Object.entries(external).map(([key, value]) => field(13, writeEntry(key, value)));
  return Buffer.concat([
    ...dims.map((dim) => field(1, dim)),
    field(2, type),
    field(8, name),
    ...entries,
    field(14, 1),
  ]);
}

export function floats(numbers: number[]): Buffer {
  return Buffer.from(new Float32Array(numbers).buffer);
}

export function bigints(numbers: bigint[]): Buffer {
  return Buffer.from(new BigInt64Array(numbers).buffer);
}
