// Tensors of the Open Inference Protocol, as typed arrays. The numbers of typed arrays and the bytes of files travel in
// binary, and all other data in JSON.

import type { InferResponse } from './answers.js';
import { misuse } from './errors.js';

export type Datatype = InferResponse['outputs'][number]['datatype'];

/** Elements that JSON or the binary form can hold without a conversion. */
export type TensorData =
  | ArrayBufferView
  | readonly string[]
  | readonly Uint8Array[]
  | readonly boolean[]
  | readonly number[]
  | readonly bigint[];

export interface Tensor {
  readonly name: string;
  /**
   * If unset, that of the array: `Float32Array` is FP32, strings and `Uint8Array`s in a plain array are BYTES, and so on. Numbers of a plain array have no
   * datatype of their own. The bits of FP16 are a `Uint16Array`.
   */
  readonly datatype?: Datatype | undefined;
  readonly shape: readonly number[];
  /** The elements in row-major order. */
  readonly data: TensorData;
}

export interface TensorRequest {
  readonly inputs: readonly Tensor[];
  /** The outputs to answer with; all, if unset. */
  readonly outputs?: readonly (string | WantedOutput)[] | undefined;
  /** Comes back with the answer. */
  readonly id?: string | undefined;
}

export interface WantedOutput {
  readonly name: string;
  /** Answers with so many of the best classes of each row, as strings `score:index:label`. */
  readonly classification?: number | undefined;
}

/** An output of a model. */
export type OutputTensor = { readonly name: string; readonly shape: readonly number[] } & (
  | { readonly datatype: 'FP16' | 'FP32'; readonly data: Float32Array }
  | { readonly datatype: 'FP64'; readonly data: Float64Array }
  | { readonly datatype: 'INT8'; readonly data: Int8Array }
  | { readonly datatype: 'INT16'; readonly data: Int16Array }
  | { readonly datatype: 'INT32'; readonly data: Int32Array }
  | { readonly datatype: 'INT64'; readonly data: BigInt64Array }
  | { readonly datatype: 'UINT8'; readonly data: Uint8Array }
  | { readonly datatype: 'UINT16'; readonly data: Uint16Array }
  | { readonly datatype: 'UINT32'; readonly data: Uint32Array }
  | { readonly datatype: 'UINT64'; readonly data: BigUint64Array }
  | { readonly datatype: 'BOOL'; readonly data: readonly boolean[] }
  | { readonly datatype: 'BYTES'; readonly data: readonly string[] }
);

export const numberArrays = {
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  FP32: Float32Array,
  FP64: Float64Array,
} as const;

/** The datatypes that the elements of each typed array can be, the one that is meant if none is given first. */
const datatypesOf: Readonly<Record<string, readonly Datatype[]>> = {
  ...Object.fromEntries(
    Object.entries(numberArrays).map(([datatype, { name }]) => [name, [datatype as Datatype]]),
  ),
  Uint8Array: ['UINT8', 'BOOL'],
  Uint8ClampedArray: ['UINT8'],
  Uint16Array: ['UINT16', 'FP16'],
  Float16Array: ['FP16'],
};

/** Returns the body of a request: JSON, and behind it the data of binary inputs. */
export function encodeRequest({ inputs, outputs, id }: TensorRequest): {
  body: Uint8Array;
  jsonBytes: number;
} {
  const encoded = inputs.map(encodeTensor);
  const request = {
    id,
    inputs: encoded.map(({ json }) => json),
    outputs: outputs?.map(wantOutput),
    parameters: { binary_data_output: true },
  };
  const json = new TextEncoder().encode(JSON.stringify(request));
  const parts = [json, ...encoded.flatMap(({ bytes }) => bytes ?? [])];
  const body = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    body.set(part, at);
    at += part.length;
  }
  return { body, jsonBytes: json.length };
}

function wantOutput(output: string | WantedOutput): object {
  if (typeof output === 'string') return { name: output };
  const { name, classification } = output;
  return { name, parameters: { classification } };
}

/** Returns the JSON of an input, and its bytes if it is binary. */
function encodeTensor({ name, datatype, shape, data }: Tensor): {
  json: object;
  bytes: Uint8Array | undefined;
} {
  if (ArrayBuffer.isView(data)) {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const parameters = { binary_data_size: bytes.length };
    return {
      json: { name, datatype: chooseDatatype(name, datatype, data), shape, parameters },
      bytes,
    };
  }
  if (!Array.isArray(data))
    throw misuse(`the data of ${JSON.stringify(name)} to be an array`, data);
  if ((datatype ?? 'BYTES') === 'BYTES' && data[0] instanceof Uint8Array) {
    const bytes = joinFiles(name, data);
    const parameters = { binary_data_size: bytes.length };
    return { json: { name, datatype: 'BYTES', shape, parameters }, bytes };
  }
  const chosen = datatype ?? datatypeOfElement(name, data[0]);
  const write = (element: unknown): unknown =>
    Array.isArray(element) ? element.map(write) : writeElement({ name, datatype: chosen }, element);
  return { json: { name, datatype: chosen, shape, data: data.map(write) }, bytes: undefined };
}

/** Writes each element behind its length. JSON cannot hold the bytes of a file. */
function joinFiles(name: string, elements: readonly unknown[]): Uint8Array {
  const parts = elements.map((element) => {
    if (element instanceof Uint8Array) return element;
    throw misuse(`each element of ${JSON.stringify(name)} to be a Uint8Array`, element);
  });
  const joined = new Uint8Array(parts.reduce((sum, { length }) => sum + 4 + length, 0));
  const lengths = new DataView(joined.buffer);
  let at = 0;
  for (const part of parts) {
    lengths.setUint32(at, part.length, true);
    joined.set(part, at + 4);
    at += 4 + part.length;
  }
  return joined;
}

function chooseDatatype(
  name: string,
  given: Datatype | undefined,
  data: ArrayBufferView,
): Datatype {
  // A Buffer of Node is a Uint8Array.
  const kind = data instanceof Uint8Array ? 'Uint8Array' : data.constructor.name;
  const [natural, ...others] = datatypesOf[kind] ?? [];
  if (natural === undefined)
    throw misuse(`the data of ${JSON.stringify(name)} to be numbers`, data);
  if (given === undefined || given === natural || others.includes(given)) return given ?? natural;
  throw new TypeError(
    `Expected ${JSON.stringify(name)} of the datatype ${given} in another array; got ${kind}, which is ${natural}.`,
  );
}

function datatypeOfElement(name: string, first: unknown): Datatype {
  if (typeof first === 'string') return 'BYTES';
  if (typeof first === 'boolean') return 'BOOL';
  throw new TypeError(
    `Expected ${JSON.stringify(name)} to have a datatype, or its numbers in a typed array; got a plain array.`,
  );
}

function writeElement({ name, datatype }: Pick<Tensor, 'name' | 'datatype'>, element: unknown) {
  if (typeof element === 'bigint') return String(element);
  if (typeof element !== 'number') return element;
  // JSON has no NaN and no infinities, so the service takes their names.
  if (!Number.isFinite(element)) return String(element);
  // It would be sent with other digits than the caller wrote.
  if (/^U?INT64$/.test(String(datatype)) && !Number.isSafeInteger(element)) {
    throw misuse(
      `whole numbers of ${JSON.stringify(name)} beyond 2 ** 53 as BigInt, or in a BigInt64Array`,
      element,
    );
  }
  return element;
}
