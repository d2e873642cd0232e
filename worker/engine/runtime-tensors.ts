// Converts between tensors on the wire and tensors of ONNX Runtime for Node. Numbers have the same
// bytes in both; strings are encoded and decoded. Machines are little-endian, because ONNX Runtime
// for Node exists for no others.

import {
  type Datatype,
  decodeStrings,
  encodeStrings,
  numberArrays,
  type Tensor as WireTensor,
} from '../../shared/tensors/tensors.js';
import type { TensorValue } from './engine.js';

export interface RuntimeTensor {
  readonly type: (typeof types)[Datatype];
  readonly dims: readonly number[];
  readonly data: ArrayBufferView | readonly string[];
}

const types = {
  BOOL: 'bool',
  UINT8: 'uint8',
  UINT16: 'uint16',
  UINT32: 'uint32',
  UINT64: 'uint64',
  INT8: 'int8',
  INT16: 'int16',
  INT32: 'int32',
  INT64: 'int64',
  FP16: 'float16',
  FP32: 'float32',
  FP64: 'float64',
  BYTES: 'string',
} as const satisfies Record<Datatype, string>;

const datatypes = new Map(
  Object.entries(types).map(([datatype, type]) => [type as string, datatype as Datatype]),
);

/** Converts ONNX Runtime's description of an input or output. */
export function describeValue(
  value:
    | { readonly name: string; readonly isTensor: false }
    | (Omit<TensorValue, 'datatype'> & { readonly isTensor: true }),
): TensorValue {
  const { name } = value;
  if (!value.isTensor) return { name, datatype: undefined, type: 'no tensor', shape: [] };
  const { type, shape } = value;
  return { name, datatype: datatypes.get(type), type, shape };
}

/** Converts for ONNX Runtime. Numbers must begin at a multiple of 8 bytes; unshared memory does. */
export function toRuntime({ datatype, shape, data }: WireTensor): RuntimeTensor {
  const type = types[datatype];
  if (datatype === 'BYTES') return { type, dims: shape, data: decodeStrings(data) };
  // ONNX Runtime takes float16 as its bits, whether or not Node has Float16Array.
  const view = numberArrays[datatype];
  const length = data.byteLength / view.BYTES_PER_ELEMENT;
  const buffer = data.buffer as ArrayBuffer;
  return { type, dims: shape, data: new view(buffer, data.byteOffset, length) };
}

/**
 * Converts from ONNX Runtime. Copies the data, because an output's memory belongs to ONNX Runtime.
 */
export function fromRuntime(name: string, { type, dims, data }: RuntimeTensor): WireTensor {
  const datatype = datatypes.get(type);
  if (!datatype) throw new Error(`the output ${name} is of the type ${type}, which cannot travel`);
  const bytes = ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice()
    : new Uint8Array(encodeStrings(data));
  return { name, datatype, shape: [...dims], data: bytes };
}
