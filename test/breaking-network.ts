// Networks for tests that break their process. Both do so for a 1 in their input.

import { bigints, elementTypes, graph, integer, node, subgraph, tensor, value } from './onnx.js';
import { addTensorModel, declared } from './tensor-model.js';

const { FP32: float, INT64: int64, BOOL: bool } = elementTypes;

export type Add = (directory: string, changes: Record<string, unknown>) => void;

/** Divides the least number of 32 bits by -1 for a 1 in its input, which ends the process. */
export const addCrash: Add = (directory, changes) =>
  addTensorModel(directory, {
    name: 'model',
    nodes: [node('Neg', ['in'], ['divisor']), node('Div', ['least', 'divisor'], ['out'])],
    constants: [tensor('least', elementTypes.INT32, [1], Buffer.from([0, 0, 0, 0x80]))],
    network: { inputs: [declared('in', 'INT32', [-1])], outputs: [declared('out', 'INT32', [-1])] },
    changes,
  });

/** Runs 9,000,000,000,000,000 rounds for each 1 in its input. */
export const addHang: Add = (directory, changes) => {
  const body = graph({
    nodes: [node('Identity', ['go'], ['goOn']), node('Cos', ['value'], ['next'])],
    inputs: [value('round', int64, []), value('go', bool, []), value('value', float, [])],
    outputs: [value('goOn', bool, []), value('next', float, [])],
  });
  addTensorModel(directory, {
    name: 'model',
    nodes: [
      node('Mul', ['in', 'many'], ['rounds']),
      node('ReduceSum', ['rounds'], ['total'], integer('keepdims', 0)),
      node('Cast', ['total'], ['start'], integer('to', float)),
      node('Loop', ['total', '', 'start'], ['end'], subgraph('body', body)),
      node('Cast', ['in'], ['floats'], integer('to', float)),
      node('Mul', ['floats', 'end'], ['out']),
    ],
    constants: [tensor('many', int64, [], bigints([9_000_000_000_000_000n]))],
    network: { inputs: [declared('in', 'INT64', [-1])], outputs: [declared('out', 'FP32', [-1])] },
    changes,
  });
};
