// Sends the inputs of a case by the Open Inference Protocol, and compares the answer with what bare ONNX
// Runtime has given.

import { numberToHalf } from '../shared/tensors/half.js';
import { type Datatype, decodeStrings, numberArrays } from '../shared/tensors/tensors.js';
import { type BareOutput, typeOf } from './bare.js';
import type { CaseInput } from './cases.js';

export type Form = 'json' | 'binary';

interface AnsweredOutput {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  readonly data?: readonly unknown[];
  readonly parameters?: { readonly binary_data_size: number };
}

/** An output with its elements, either as JSON or as bytes. */
type Answered = AnsweredOutput & { readonly bytes?: Buffer };

const lengthHeader = 'inference-header-content-length';

/** @throws Error if the answer is no success */
export async function infer(
  url: string,
  inputs: readonly CaseInput[],
  form: Form,
): Promise<Answered[]> {
  const binary = form === 'binary' ? inputs.map(({ data }) => Buffer.from(data, 'base64')) : [];
  const json = Buffer.from(form === 'json' ? inJson(inputs) : inBinary(inputs, binary));
  const response = await fetch(url, {
    method: 'POST',
    headers: { [lengthHeader]: String(json.length) },
    body: Buffer.concat([json, ...binary]),
  });
  const body = Buffer.from(await response.arrayBuffer());
  if (!response.ok) throw new Error(`${response.status} ${body.toString().slice(0, 500)}`);
  const jsonBytes = Number(response.headers.get(lengthHeader) ?? body.length);
  const text = body.toString('utf8', 0, jsonBytes);
  // Long whole numbers are quoted, because `JSON.parse` of Node 20 would round them.
  const { outputs } = JSON.parse(text.replaceAll(/(?<=[[,])-?\d{16,}(?=[,\]])/g, '"$&"'));
  let at = jsonBytes;
  return (outputs as AnsweredOutput[]).map((output) => {
    const size = output.parameters?.binary_data_size;
    if (size === undefined) return output;
    at += size;
    return { ...output, bytes: body.subarray(at - size, at) };
  });
}

function inJson(inputs: readonly CaseInput[]): string {
  const tensors = inputs.map(({ name, datatype, shape, json }) => {
    const head = JSON.stringify({ name, datatype, shape });
    return `${head.slice(0, -1)},"data":${json}}`;
  });
  return `{"inputs":[${tensors}]}`;
}

function inBinary(inputs: readonly CaseInput[], binary: readonly Buffer[]): string {
  const tensors = inputs.map(({ name, datatype, shape }, at) => {
    const parameters = { binary_data_size: binary[at]?.length };
    return { name, datatype, shape, parameters };
  });
  return JSON.stringify({ inputs: tensors, parameters: { binary_data_output: true } });
}

/** Says how an answer differs from the bare outputs, or returns undefined. */
export function findDifference(
  answered: readonly Answered[],
  bare: readonly BareOutput[],
  isRandom: boolean,
): string | undefined {
  if (answered.length !== bare.length)
    return `${answered.length} outputs instead of ${bare.length}`;
  for (const expected of bare) {
    const { name, type, shape } = expected;
    const output = answered.find((each) => each.name === name);
    if (!output) return `no output ${name}`;
    const [wanted, got] = [`${type}[${shape}]`, `${typeOf(output.datatype)}[${output.shape}]`];
    if (wanted !== got) return `${name} is ${got} instead of ${wanted}`;
    if (!isRandom && !hasElements(output, expected)) return `${name} has other elements`;
  }
  return undefined;
}

function hasElements(output: Answered, { texts, bytes }: BareOutput): boolean {
  const { datatype } = output;
  if (datatype === 'BYTES') {
    const got = output.bytes ? decodeStrings(output.bytes) : output.data;
    return JSON.stringify(got) === JSON.stringify(texts);
  }
  if (!bytes) return false;
  if (output.bytes) return Buffer.compare(output.bytes, bytes) === 0;
  const expected = new numberArrays[datatype](Uint8Array.from(bytes).buffer);
  const got = (output.data ?? []).map((element) => toNumber(datatype, element));
  return (
    got.length === expected.length &&
    got.every((number, at) => isSame(datatype, number, expected[at]))
  );
}

function toNumber(datatype: Datatype, element: unknown): number | bigint {
  if (datatype === 'INT64' || datatype === 'UINT64') return BigInt(element as number | string);
  const number = Number(element);
  if (datatype === 'FP16') return numberToHalf(number);
  return datatype === 'FP32' ? Math.fround(number) : number;
}

function isSame(
  datatype: Datatype,
  got: number | bigint,
  expected: number | bigint | undefined,
): boolean {
  if (Object.is(got, expected)) return true;
  // JSON has one NaN, and FP16 is compared by its bits.
  const isNan = (bits: number) => (bits & 0x7fff) > 0x7c00;
  return datatype === 'FP16' && isNan(Number(got)) && isNan(Number(expected));
}
