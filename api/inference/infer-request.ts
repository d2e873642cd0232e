// The request of the Open Inference Protocol: JSON, and behind it the data of binary tensors. What comes by
// gRPC (api/grpc/infer-message.ts) is checked here too.
//
// Everything is checked before it is queued, by what the manifest declares of the network. Nothing is
// allocated for a shape before as much data is known to be there. Binary data is not copied: the
// tensors share the memory of the body.

import { isUtf8 } from 'node:buffer';
import { z } from 'zod';
import { countCharacters, isLonger } from '../../shared/characters.js';
import { ScorelineError } from '../../shared/errors.js';
import { isJsonObject } from '../../shared/json-object.js';
import type { Manifest } from '../../shared/manifest/manifest.js';
import type { DeclaredTensor, Network } from '../../shared/manifest/network.js';
import type { Model } from '../../shared/registry/models.js';
import { shown } from '../../shared/shown.js';
import { fromJson } from '../../shared/tensors/json-elements.js';
import {
  checkNamedSizes,
  showName,
  showShape,
  showValue,
  takesTensor,
} from '../../shared/tensors/network.js';
import {
  checkTensor,
  countElements,
  type Datatype,
  datatypes,
  rowOffsets,
  stringLengthBytes,
  type Tensor,
  type TensorHead,
  toBuffer,
  visitStrings,
} from '../../shared/tensors/tensors.js';
import { messageOf } from '../../shared/zod-issue.js';
import { checkCategories } from './categories.js';

/** How an output is answered. */
export interface OutputForm {
  readonly name: string;
  readonly isBinary: boolean;
  /** How many of the best classes to answer with instead of the numbers; 0 for the numbers. */
  readonly classes: number;
}

type Parameters = Readonly<Record<string, unknown>>;
/** An input as it came. */
export interface GivenInput {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly parameters: Parameters;
  /**
   * Reads its data, once its head is known to be what the network takes. Called for each input, in order.
   * @throws ScorelineError `tensor_invalid`
   */
  read(head: TensorHead): Uint8Array;
}

/** A request as it came, whatever its form. */
export interface GivenRequest {
  readonly id: string | undefined;
  readonly parameters: Parameters;
  readonly inputs: readonly GivenInput[];
  readonly outputs: readonly { readonly name: string; readonly parameters: Parameters }[];
  /** Whether outputs are binary unless the parameters say otherwise. */
  readonly isBinary: boolean;
}

export interface InferRequest {
  readonly id: string | undefined;
  /** None once they are on their way, so they can be collected while their answer is awaited. */
  inputs: readonly Tensor[];
  /** How many inputs the request counts as: its rows, or 1 without a batch dimension. */
  readonly rows: number;
  readonly outputs: readonly OutputForm[];
  /** Whether `outputs` are fewer than the network has. */
  readonly isSelective: boolean;
  /** Parameters of the request, such as its deadline. */
  readonly parameters: Parameters;
}

/** The most inputs and outputs of a request, and raw contents by gRPC. */
export const tensorsMax = 1024;
/** The most dimensions of a shape, and parameters of anything. */
export const entriesMax = 64;
export const sizeMax = 2 ** 31 - 1;
export const classesMax = 1024;
const parametersSchema = z.record(z.string(), z.unknown()).default({});

const inputSchema = z.object({
  name: z.string(),
  datatype: z.string(),
  shape: z.array(z.number()),
  parameters: parametersSchema,
  data: z.unknown().optional(),
});

export const requestSchema = z.object({
  id: z.string().optional(),
  parameters: parametersSchema,
  inputs: z.array(inputSchema).min(1),
  outputs: z.array(z.object({ name: z.string(), parameters: parametersSchema })).default([]),
});

type JsonInput = z.output<typeof inputSchema>;

/**
 * Reads a request.
 * @param value the parsed JSON
 * @param binary the bytes behind the JSON
 * @throws ScorelineError `input_invalid`, and the errors of `checkInferRequest`
 */
export function readInferRequest(
  value: unknown,
  binary: Buffer,
  limits: { model: Model; rowsMax: number },
): InferRequest {
  networkOf(limits.model);
  checkCounts(value);
  const parsed = requestSchema.safeParse(value);
  if (!parsed.success) throw malformed(parsed.error.issues[0]);
  const { id, parameters, inputs, outputs } = parsed.data;
  let at = 0;
  const takeBytes = (name: string, size: unknown): Buffer => {
    const end = at + readSize(name, size, binary.length - at);
    const bytes = binary.subarray(at, end);
    at = end;
    return bytes;
  };
  const given = inputs.map((input) => ({
    ...input,
    read: (head: TensorHead) => readData(input, head, takeBytes),
  }));
  const request = checkInferRequest(
    { id, parameters, inputs: given, outputs, isBinary: false },
    limits,
  );
  if (at === binary.length) return request;
  throw new ScorelineError(
    'tensor_invalid',
    `Expected ${at} bytes behind the JSON, as the binary_data_size of the inputs say; got ${binary.length}.`,
  );
}

/**
 * Checks a request by what the model takes.
 * @throws ScorelineError `tensor_invalid`, `parameter_invalid`, `text_too_long`, `network_undeclared`,
 * `too_many_inputs`, and `input_invalid` for a category that the model does not know
 */
export function checkInferRequest(
  { id, parameters, inputs: given, outputs, isBinary: isUsuallyBinary }: GivenRequest,
  { model, rowsMax }: { model: Model; rowsMax: number },
): InferRequest {
  const network = networkOf(model);
  // Triton's clients send it unless it is 0 or empty.
  if (parameters.sequence_id) throw noSequences();
  const inputs = readInputs(given, network);
  checkNamedSizes(network.inputs, inputs);
  const { batch } = model.manifest;
  for (const tensor of inputs) {
    if (tensor.datatype === 'BOOL') checkBooleans(tensor);
    if (tensor.datatype === 'BYTES') checkStrings(tensor, model.manifest);
  }
  checkCategories(model.manifest, network, inputs);
  const rows = batch.dimension === 'none' ? 1 : countRows(inputs, rowsMax);
  const isBinary = readFlag(parameters, 'binary_data_output') ?? isUsuallyBinary;
  const asked =
    outputs.length > 0 ? outputs : network.outputs.map(({ name }) => ({ name, parameters: {} }));
  const forms = asked.map((output) => readForm(output, network, isBinary));
  checkOnce('output', forms);
  return { id, inputs, rows, outputs: forms, isSelective: outputs.length > 0, parameters };
}

/** @throws ScorelineError `network_undeclared` */
export function networkOf({ name, manifest }: Model): Network {
  if (manifest.network) return manifest.network;
  throw new ScorelineError(
    'network_undeclared',
    `The manifest of ${name} does not declare the inputs and outputs of its network, so the Open Inference Protocol cannot serve it. \`npm run models -- check ${name}\` prints the line that it needs.`,
  );
}

/**
 * Bounds what the schema looks at. It describes each fault of a list before it refuses the first: of two million
 * inputs in 4 MiB, that takes many seconds, in which nobody else is answered.
 * @throws ScorelineError `input_invalid`, `tensor_invalid`
 */
function checkCounts(value: unknown): void {
  const { inputs, outputs, parameters } = fieldsOf(value);
  checkParameters(parameters);
  for (const [what, list] of Object.entries({ inputs, outputs })) {
    if (!Array.isArray(list)) continue;
    if (list.length > tensorsMax) throw tooMany(what, tensorsMax);
    for (const each of list) {
      const { shape, parameters } = fieldsOf(each);
      if (Array.isArray(shape) && shape.length > entriesMax) {
        throw tensorInvalid(`at most ${entriesMax} dimensions in a shape`, String(shape.length));
      }
      checkParameters(parameters);
    }
  }
}

function checkParameters(parameters: unknown): void {
  if (Object.keys(fieldsOf(parameters)).length > entriesMax) {
    throw tooMany('parameters', entriesMax);
  }
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return isJsonObject(value) ? value : {};
}

function readInputs(given: readonly GivenInput[], network: Network): Tensor[] {
  checkOnce('input', given);
  const missing = network.inputs.find(({ name }) => !given.some((input) => input.name === name));
  if (missing || given.length > network.inputs.length) {
    const names = given
      .slice(0, 3)
      .map(({ name }) => showName(name))
      .join(', ');
    throw tensorInvalid(`the inputs ${network.inputs.map(showValue).join(', ')}`, names || 'none');
  }
  return given.map((input) => {
    const declared = network.inputs.find(({ name }) => name === input.name) as DeclaredTensor;
    const head = readHead(input, declared);
    if (input.parameters.shared_memory_region !== undefined) throw noSharedMemory();
    const data = input.read(head);
    const isBase64 = head.datatype === 'BYTES' && input.parameters.content_type === 'base64';
    return { ...head, data: isBase64 ? decodeBase64(head, data) : data };
  });
}

/** MLServer's clients send bytes in this form, and its servers decode them. */
function decodeBase64({ name }: TensorHead, data: Uint8Array): Buffer {
  // The decoded strings are shorter.
  const decoded = Buffer.allocUnsafe(data.length);
  let at = 0;
  let index = 0;
  visitStrings(data, (bytes, start, end) => {
    const text = bytes.toString('latin1', start, end);
    const isBase64 = /^[A-Za-z0-9+/]*={0,2}$/.test(text) && text.length % 4 === 0;
    if (!isBase64) {
      throw tensorInvalid(
        `base64 in ${showName(name)}, as its "content_type" says`,
        `another text at index ${index}`,
      );
    }
    const length = decoded.write(text, at + stringLengthBytes, 'base64');
    at = decoded.writeUInt32LE(length, at) + length;
    index++;
  });
  return decoded.subarray(0, at);
}

function readData(
  { name, parameters, data }: JsonInput,
  head: TensorHead,
  takeBytes: (name: string, size: unknown) => Buffer,
): Uint8Array {
  const size = parameters.binary_data_size;
  if (size === undefined) return fromJson(head, data);
  if (data !== undefined)
    throw tensorInvalid(`data or binary_data_size in ${showName(name)}`, 'both');
  const bytes = takeBytes(name, size);
  checkTensor({ ...head, data: bytes });
  return bytes;
}

/** Checks name, datatype and shape by what the network takes. */
function readHead({ name, datatype, shape }: GivenInput, declared: DeclaredTensor): TensorHead {
  if (!datatypes.includes(datatype as Datatype)) {
    const got = shown(datatype);
    throw tensorInvalid(`the datatype ${declared.datatype} in ${showName(name)}`, got);
  }
  const head = { name, datatype: datatype as Datatype, shape };
  const isSize = (size: number) => Number.isInteger(size) && size >= 0 && size <= sizeMax;
  if (!shape.every(isSize) || !Number.isSafeInteger(countElements(shape))) {
    throw tensorInvalid(
      `whole numbers from 0 to ${sizeMax} as the shape of ${showName(name)}, and at most 2^53 elements`,
      showShape(shape),
    );
  }
  if (takesTensor(declared, head)) return head;
  // The clients of MLServer write a list of strings as a column.
  const list = { ...head, shape: shape.slice(0, 1) };
  const isColumn = shape.length === 2 && shape[1] === 1;
  if (datatype === 'BYTES' && isColumn && takesTensor(declared, list)) return list;
  throw tensorInvalid(showValue(declared), showValue(head));
}

function readSize(name: string, size: unknown, left: number): number {
  if (Number.isInteger(size) && (size as number) >= 0 && (size as number) <= left) {
    return size as number;
  }
  throw new ScorelineError(
    'tensor_invalid',
    `Expected the binary_data_size of ${showName(name)} to be a number of bytes, at most the ${left} that are left behind the JSON; got ${shown(size)}.`,
  );
}

function countRows(inputs: readonly Tensor[], rowsMax: number): number {
  const [rows, ...others] = new Set(inputs.map(({ shape }) => shape[0] as number));
  if (rows === undefined || others.length > 0) {
    throw tensorInvalid('the same first dimension in each input', inputs.map(showValue).join(', '));
  }
  if (rows === 0) throw tensorInvalid('at least one row, counted by the first dimension', 'none');
  checkRows(rows, rowsMax);
  return rows;
}

/** @throws ScorelineError `too_many_inputs` */
export function checkRows(rows: number, rowsMax: number): void {
  if (rows <= rowsMax) return;
  throw new ScorelineError(
    'too_many_inputs',
    `Expected at most ${rowsMax} rows in a request, counted by the first dimension; got ${rows}. Send several requests: the service batches them.`,
  );
}

function checkBooleans({ name, data }: Tensor): void {
  const at = data.findIndex((byte) => byte > 1);
  if (at >= 0)
    throw tensorInvalid(`bytes of 0 or 1 in ${showName(name)}`, `${data[at]} at index ${at}`);
}

/**
 * ONNX Runtime ends a string at its first NUL, and Node replaces what is not UTF-8. A Python program takes any
 * bytes, unless it takes texts.
 */
function checkStrings(tensor: Tensor, { engine, input }: Manifest): void {
  const isText = input.kind === 'text';
  const charactersMax = isText ? input.charactersMax : Number.POSITIVE_INFINITY;
  const isOnnx = engine === 'onnx';
  if (!isOnnx && !isText) return;
  const bytes = toBuffer(tensor.data);
  const strings = countElements(tensor.shape);
  const offsets = strings === 0 ? [] : rowOffsets({ ...tensor, shape: [strings] }, strings);
  for (let at = 0; at < strings; at++) {
    const text = bytes.subarray((offsets[at] as number) + 4, offsets[at + 1]);
    if (!isUtf8(text) || (isOnnx && text.includes(0))) {
      throw tensorInvalid(
        `strings in UTF-8${isOnnx ? ' without NUL' : ''} in ${showName(tensor.name)}, as ${isOnnx ? 'ONNX Runtime' : 'the program'} takes no others`,
        `another at index ${at}`,
      );
    }
    if (text.length > charactersMax && isLonger(text.toString(), charactersMax)) {
      throw new ScorelineError(
        'text_too_long',
        `Expected texts of at most ${charactersMax} characters; got ${countCharacters(text.toString())} at index ${at}. Shorten it.`,
      );
    }
  }
}

function readForm(
  { name, parameters }: GivenRequest['outputs'][number],
  { outputs }: Network,
  isBinary: boolean,
): OutputForm {
  const declared = outputs.find((output) => output.name === name);
  if (!declared) {
    throw tensorInvalid(
      `an output of the network, ${outputs.map(showValue).join(', ')}`,
      showName(name),
    );
  }
  if (parameters.shared_memory_region !== undefined) throw noSharedMemory();
  return {
    name,
    isBinary: readFlag(parameters, 'binary_data') ?? isBinary,
    classes: readClasses(parameters.classification, declared),
  };
}

function readClasses(given: unknown = 0, { name, datatype }: DeclaredTensor): number {
  if (!Number.isInteger(given) || (given as number) < 0 || (given as number) > classesMax) {
    throw parameterInvalid(
      `"classification" to be a number of classes, at most ${classesMax}`,
      shown(given),
    );
  }
  if (given !== 0 && (datatype === 'BYTES' || datatype === 'BOOL')) {
    throw parameterInvalid(
      `"classification" only for outputs of numbers`,
      `it for ${showName(name)}, which is ${datatype}`,
    );
  }
  return given as number;
}

function readFlag(parameters: Parameters, name: string): boolean | undefined {
  const given = parameters[name];
  if (given === undefined || typeof given === 'boolean') return given;
  throw parameterInvalid(`"${name}" to be true or false`, shown(given));
}

function checkOnce(what: string, named: readonly { name: string }[]): void {
  const names = new Set<string>();
  for (const { name } of named) {
    if (names.has(name)) throw tensorInvalid(`each ${what} once`, `${showName(name)} twice`);
    names.add(name);
  }
}

export function tooMany(what: string, max: number): ScorelineError {
  return new ScorelineError('input_invalid', `Expected at most ${max} ${what}; got more.`);
}

function malformed(issue: z.core.$ZodIssue | undefined): ScorelineError {
  const place = issue?.path.join('.') || 'the body';
  return new ScorelineError(
    'input_invalid',
    `Expected a request of the Open Inference Protocol, as in {"inputs": [{"name": …, "datatype": …, "shape": […], "data": […]}]}; got something else at ${place.slice(0, 100)}: ${issue ? messageOf(issue) : ''}.`,
  );
}

function noSharedMemory(): ScorelineError {
  return parameterInvalid('data in the request', 'a region of shared memory');
}

/** A state that is kept between requests would be missing from the answer. */
function noSequences(): ScorelineError {
  return parameterInvalid(
    'a request that needs no other, since models keep nothing between requests',
    'a "sequence_id"',
  );
}

function parameterInvalid(expected: string, got: string): ScorelineError {
  return new ScorelineError('parameter_invalid', `Expected ${expected}; got ${got}.`);
}

export function tensorInvalid(expected: string, got: string): ScorelineError {
  return new ScorelineError('tensor_invalid', `Expected ${expected}; got ${got}.`);
}
