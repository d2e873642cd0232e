// The request of V1 of KServe and TensorFlow Serving: a JSON object with `instances`, a value for each row, or with
// `inputs`, the values of all rows for each input of the network. It becomes a request of the Open Inference Protocol, and
// is checked as such.

import { ScorelineError } from '../../shared/errors.js';
import { longNumber, parseExactly } from '../../shared/exact-json.js';
import { isJsonObject } from '../../shared/json-object.js';
import { listed } from '../../shared/listed.js';
import type { DeclaredTensor, Network } from '../../shared/manifest/network.js';
import type { Model } from '../../shared/registry/models.js';
import { shown } from '../../shared/shown.js';
import { fromJson } from '../../shared/tensors/json-elements.js';
import { showName, showValue } from '../../shared/tensors/network.js';
import {
  checkInferRequest,
  checkRows,
  type GivenInput,
  type InferRequest,
  networkOf,
  tensorInvalid,
} from './infer-request.js';

/** The values of a request: those of each row, or those of each input. */
type Values = { readonly instances: readonly unknown[] } | { readonly inputs: unknown };

export interface PredictRequest {
  readonly asked: InferRequest;
  /** Whether the answer has a list for each output in place of a value for each row. */
  readonly isColumnar: boolean;
}

/**
 * Reads a request to a model whose network the manifest declares.
 * @param value the parsed JSON
 * @param text the JSON itself, in which no long whole number is rounded
 * @throws ScorelineError as `readValues`; `tensor_invalid`, and the errors of `checkInferRequest`
 */
export function readPredictRequest(
  value: unknown,
  text: string,
  limits: { model: Model; rowsMax: number },
): PredictRequest {
  const { model } = limits;
  const network = networkOf(model);
  const values = readValues(value);
  const isColumnar = 'inputs' in values;
  if (!isColumnar) checkRows(values.instances.length, limits.rowsMax);
  if (!isColumnar && model.manifest.batch.dimension === 'none') throw noRows(model);
  const columns = columnsOf(values, network);
  const isExact = !longNumber.test(text);
  const exact = isExact ? columns : columnsOf(readValues(parseExactly(text)), network);
  const inputs = network.inputs.map((declared) => {
    const { name, datatype } = declared;
    return inputOf(declared, (/^U?INT64$/.test(datatype) ? exact : columns)[name]);
  });
  const { predict } = model.manifest;
  const outputs = predict === undefined ? [] : [{ name: predict, parameters: {} }];
  const given = { id: undefined, parameters: {}, inputs, outputs, isBinary: false };
  return { asked: checkInferRequest(given, limits), isColumnar };
}

/**
 * Returns the values of a request.
 * @throws ScorelineError `input_missing`, `input_invalid`
 */
export function readValues(value: unknown): Values {
  if (!isJsonObject(value)) throw malformed('input_missing', shown(value));
  const { instances, inputs, signature_name: signature = '' } = value;
  // An empty name means the usual signature in TensorFlow Serving, and in our metadata.
  if (signature !== '' && signature !== 'serving_default') {
    throw new ScorelineError(
      'input_invalid',
      `Expected no "signature_name", or "serving_default", since models have one signature; got ${shown(signature)}.`,
    );
  }
  if (instances !== undefined && inputs !== undefined) throw malformed('input_invalid', 'both');
  if (inputs !== undefined) return { inputs };
  if (Array.isArray(instances) && instances.length > 0) return { instances };
  if (instances === undefined) throw malformed('input_missing', 'neither');
  const got = Array.isArray(instances) ? 'an empty list' : shown(instances);
  throw malformed('input_invalid', `${got} as the instances`);
}

type Columns = Readonly<Record<string, unknown>>;

/** Returns the values of each input of the network, by name. */
function columnsOf(values: Values, network: Network): Columns {
  if ('inputs' in values) return byName(values.inputs, network, '"inputs"');
  const rows = values.instances.map((each, at) => byName(each, network, `instance ${at}`));
  return Object.fromEntries(network.inputs.map(({ name }) => [name, rows.map((row) => row[name])]));
}

/** Returns an object with the inputs of the network and nothing else. A value of the only input needs no name. */
function byName(value: unknown, { inputs }: Network, place: string): Columns {
  const [only, ...others] = inputs;
  if (only && others.length === 0 && !isNamed(value)) return { [only.name]: value };
  const names = isNamed(value) ? Object.keys(value) : [];
  const isWhole =
    names.length === inputs.length && inputs.every(({ name }) => names.includes(name));
  if (isWhole) return value as Columns;
  const got =
    names.length > 0
      ? names
          .slice(0, 5)
          .map((name) => showName(name))
          .join(', ')
      : shown(value);
  throw tensorInvalid(
    `an object with a value for each of ${listed(inputs.map(showValue), 5)} as ${place}`,
    got,
  );
}

function inputOf(declared: DeclaredTensor, value: unknown): GivenInput {
  const { name, datatype } = declared;
  const isBase64 = datatype === 'BYTES' && isBytes(firstOf(value));
  const bytes = isBase64 ? unwrapped(value, declared) : value;
  const rows = elementsOf(declared, bytes);
  const data = rows ?? bytes;
  return {
    ...{ name, datatype },
    shape: rows ? [rows.length, ...declared.shape.slice(1).map(Number)] : shapeOf(declared, data),
    parameters: isBase64 ? { content_type: 'base64' } : {},
    read: (head) => fromJson(head, data),
  };
}

/** Whether a row has one element in lists, which clients need not write. */
export function isOneInRow({ shape: [, ...inner] }: DeclaredTensor): boolean {
  return inner.length > 0 && inner.every((size) => size === 1);
}

/** Returns the elements of rows that have one each; undefined of others, which are read as they are. */
function elementsOf(declared: DeclaredTensor, rows: unknown): unknown[] | undefined {
  if (!Array.isArray(rows) || !isOneInRow(declared)) return undefined;
  const elements = rows.map((row) => onlyOf(row, declared.shape.length - 1));
  return elements.some(Array.isArray) ? undefined : elements;
}

/** Takes an element out of the lists around it, of which there are at most `depth`. */
function onlyOf(value: unknown, depth: number): unknown {
  const isList = depth > 0 && Array.isArray(value) && value.length === 1;
  return isList ? onlyOf(value[0], depth - 1) : value;
}

/** Returns the sizes of nested lists, down to the dimensions of the network. Those inside of an empty list are not known. */
function shapeOf({ shape: declared }: DeclaredTensor, value: unknown): number[] {
  const shape: number[] = [];
  for (let part = value; shape.length < declared.length && Array.isArray(part); part = part[0]) {
    shape.push(part.length);
  }
  if (shape.at(-1) !== 0) return shape;
  const left = declared.slice(shape.length);
  return [...shape, ...left.map((size) => (typeof size === 'number' && size > 0 ? size : 0))];
}

function firstOf(value: unknown): unknown {
  let first = value;
  while (Array.isArray(first)) first = first[0];
  return first;
}

/** Returns the texts in base64 of lists of bytes, which are no deeper than the network has dimensions. */
function unwrapped(value: unknown, declared: DeclaredTensor, depth = 0): unknown {
  if (Array.isArray(value) && depth < declared.shape.length) {
    return value.map((each) => unwrapped(each, declared, depth + 1));
  }
  if (isBytes(value)) return value.b64;
  throw tensorInvalid(`{"b64": "…"} as each element of ${showName(declared.name)}`, shown(value));
}

/** Whether a value is bytes as clients of V1 send them. */
function isBytes(value: unknown): value is { b64: unknown } {
  return isJsonObject(value) && Object.keys(value).length === 1 && 'b64' in value;
}

function isNamed(value: unknown): value is Columns {
  return isJsonObject(value) && !isBytes(value);
}

function malformed(code: 'input_missing' | 'input_invalid', got: string): ScorelineError {
  return new ScorelineError(
    code,
    `Expected a JSON object with "instances", a list with a value for each row, or with "inputs", the values of each input; got ${got}.`,
  );
}

function noRows({ name }: Model): ScorelineError {
  return new ScorelineError(
    'input_invalid',
    `Expected "inputs", the whole tensors of the network, since ${name} has no dimension that counts rows; got "instances".`,
  );
}
