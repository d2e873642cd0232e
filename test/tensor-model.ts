// Models of the kind tensors for tests: a small network with a manifest that declares it.

import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { DeclaredTensor, Network } from '../shared/manifest/network.js';
import type { Datatype } from '../shared/tensors/tensors.js';
import { elementTypes, node, onnxModel, value } from './onnx.js';
import { sourceOf } from './unit/sample-model.js';

/** Adds a model to a models folder. Some keys of its manifest can be others. */
export function addTensorModel(
  directory: string,
  model: {
    name: string;
    nodes: Buffer[];
    constants?: Buffer[];
    network: Network;
    /** What the file has, if it is not what the manifest declares. */
    file?: Network;
    changes?: Record<string, unknown>;
  },
): void {
  const { name, nodes, constants = [], network, file = network, changes = {} } = model;
  const folder = path.join(directory, name);
  const bytes = onnxModel({
    nodes,
    constants,
    inputs: file.inputs.map(toValue),
    outputs: file.outputs.map(toValue),
  });
  const manifest = {
    name,
    version: 1,
    description: 'A model of the kind tensors.',
    source: sourceOf('model.onnx', bytes),
    input: { kind: 'tensors' },
    output: { kind: 'tensors' },
    network,
    batch: { max: 4 },
    device: { type: 'cpu', threads: 1 },
    ...changes,
  };
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, 'model.onnx'), bytes);
  writeFileSync(path.join(folder, 'model.yaml'), JSON.stringify(manifest));
}

export const declared = (
  name: string,
  datatype: Datatype,
  shape: (number | string)[],
): DeclaredTensor => ({
  name,
  datatype,
  shape,
});

/** Adds `a` and `b`, rows of numbers of any length, to `sum`; and negates `a` as `negated`. */
export function addAdder(
  directory: string,
  name = 'adder',
  changes: Record<string, unknown> = {},
): void {
  addTensorModel(directory, {
    name,
    nodes: [node('Add', ['a', 'b'], ['sum']), node('Neg', ['a'], ['negated'])],
    network: {
      inputs: [declared('a', 'FP32', [-1, -1]), declared('b', 'FP32', [-1, -1])],
      outputs: [declared('sum', 'FP32', [-1, -1]), declared('negated', 'FP32', [-1, -1])],
    },
    changes,
  });
}

/** Answers with its input, of any datatype. */
export function addEcho(
  directory: string,
  datatype: Datatype,
  { shape = [-1, 2], changes = {} }: { shape?: number[]; changes?: Record<string, unknown> } = {},
): string {
  const name = `echo-${datatype.toLowerCase()}`;
  addTensorModel(directory, {
    name,
    nodes: [node('Identity', ['in'], ['out'])],
    network: {
      inputs: [declared('in', datatype, shape)],
      outputs: [declared('out', datatype, shape)],
    },
    changes,
  });
  return name;
}

function toValue({ name, datatype, shape }: DeclaredTensor): Buffer {
  const dims = shape.map((size, at) => (size === -1 ? `d${at}` : size));
  return value(name, elementTypes[datatype], dims);
}
