// Decodes the message of a request to infer.
//
// A few bytes of a message can stand for a large object, so a decoder that takes whatever comes could fill the
// memory: 16 MB may hold eight million inputs. This one limits how many of each there are, and reads the
// elements of an input only when its shape is known to be right. Raw contents share the memory of the message.

import protobuf from 'protobufjs';
import { ScorelineError } from '../../shared/errors.js';
import { checkTensor } from '../../shared/tensors/tensors.js';
import {
  entriesMax,
  type GivenInput,
  type GivenRequest,
  tensorsMax,
  tooMany,
} from '../inference/infer-request.js';
import { readContents } from './contents.js';

export interface InferMessage {
  readonly modelName: string;
  /** Empty for the first version. */
  readonly modelVersion: string;
  readonly request: GivenRequest;
}

type Parameters = Readonly<Record<string, unknown>>;
/** Reads the value of a field whose tag has been read. */
type ReadField = (reader: protobuf.Reader) => void;
/** How to read each field, by its tag: the number and the form on the wire. */
type Fields = Readonly<Record<number, ReadField>>;

const text = (field: number) => (field << 3) | 2;
const number = (field: number) => field << 3;

/** @throws ScorelineError `request_invalid`, `input_invalid` */
export function decodeInferMessage(bytes: Buffer): InferMessage {
  try {
    return decode(bytes);
  } catch (thrown) {
    if (thrown instanceof ScorelineError) throw thrown;
    throw new ScorelineError(
      'request_invalid',
      'Expected a message ModelInferRequest of the package inference; it could not be decoded. Check what encodes it.',
      { cause: thrown },
    );
  }
}

function decode(bytes: Buffer): InferMessage {
  let [modelName, modelVersion, id] = ['', '', ''];
  const parameters = new Map<string, unknown>();
  const inputs: DecodedInput[] = [];
  const outputs: { name: string; parameters: Parameters }[] = [];
  const raw: Buffer[] = [];
  readFields(bytes, {
    [text(1)]: (reader) => {
      modelName = textOf(reader);
    },
    [text(2)]: (reader) => {
      modelVersion = textOf(reader);
    },
    [text(3)]: (reader) => {
      id = textOf(reader);
    },
    [text(4)]: (reader) => readParameter(bytesOf(reader), parameters),
    [text(5)]: (reader) => addTo(inputs, 'inputs', readInput(bytesOf(reader))),
    [text(6)]: (reader) => addTo(outputs, 'outputs', readOutput(bytesOf(reader))),
    [text(7)]: (reader) => addTo(raw, 'raw_input_contents', bytesOf(reader)),
  });
  checkRaw(inputs, raw);
  return {
    modelName,
    modelVersion,
    request: {
      id: id === '' ? undefined : id,
      parameters: Object.fromEntries(parameters),
      inputs: inputs.map((input, at) => toGiven(input, raw[at])),
      outputs,
      isBinary: raw.length > 0,
    },
  };
}

interface DecodedInput extends Omit<GivenInput, 'read'> {
  readonly contents: Buffer | undefined;
}

function readInput(bytes: Buffer): DecodedInput {
  let [name, datatype] = ['', ''];
  let contents: Buffer | undefined;
  const shape: number[] = [];
  const parameters = new Map<string, unknown>();
  const readSize: ReadField = (reader) => {
    if (shape.length === entriesMax) throw tooMany('dimensions of a shape', entriesMax);
    shape.push(toNumber(reader.int64()));
  };
  readFields(bytes, {
    [text(1)]: (reader) => {
      name = textOf(reader);
    },
    [text(2)]: (reader) => {
      datatype = textOf(reader);
    },
    [number(3)]: readSize,
    [text(3)]: (reader) => {
      const end = reader.uint32() + reader.pos;
      while (reader.pos < end) readSize(reader);
    },
    [text(4)]: (reader) => readParameter(bytesOf(reader), parameters),
    [text(5)]: (reader) => {
      contents = bytesOf(reader);
    },
  });
  return { name, datatype, shape, parameters: Object.fromEntries(parameters), contents };
}

function readOutput(bytes: Buffer): { name: string; parameters: Parameters } {
  let name = '';
  const parameters = new Map<string, unknown>();
  readFields(bytes, {
    [text(1)]: (reader) => {
      name = textOf(reader);
    },
    [text(2)]: (reader) => readParameter(bytesOf(reader), parameters),
  });
  return { name, parameters: Object.fromEntries(parameters) };
}

/** Reads an entry of a map from names to values of InferParameter. */
function readParameter(bytes: Buffer, parameters: Map<string, unknown>): void {
  let name = '';
  let value: unknown;
  const set = (given: unknown) => {
    value = given;
  };
  const choices: Fields = {
    [number(1)]: (reader) => set(reader.bool()),
    [number(2)]: (reader) => set(toNumber(reader.int64())),
    [text(3)]: (reader) => set(textOf(reader)),
    [(4 << 3) | 1]: (reader) => set(reader.double()),
    [number(5)]: (reader) => set(toNumber(reader.uint64())),
  };
  readFields(bytes, {
    [text(1)]: (reader) => {
      name = textOf(reader);
    },
    [text(2)]: (reader) => readFields(bytesOf(reader), choices),
  });
  parameters.set(name, value);
  if (parameters.size > entriesMax) throw tooMany('parameters', entriesMax);
}

function checkRaw(inputs: readonly DecodedInput[], raw: readonly Buffer[]): void {
  if (raw.length === 0) return;
  if (raw.length !== inputs.length) {
    throw new ScorelineError(
      'tensor_invalid',
      `Expected raw_input_contents for each of the ${inputs.length} inputs, or for none; got ${raw.length}.`,
    );
  }
  if (inputs.every(({ contents }) => contents === undefined || contents.length === 0)) return;
  throw new ScorelineError(
    'tensor_invalid',
    'Expected either raw_input_contents or contents in the inputs; got both.',
  );
}

function toGiven({ contents, ...input }: DecodedInput, raw: Buffer | undefined): GivenInput {
  return {
    ...input,
    read(head) {
      if (!raw) return readContents(head, contents);
      checkTensor({ ...head, data: raw });
      return raw;
    },
  };
}

function readFields(bytes: Buffer, fields: Fields): void {
  const reader = protobuf.Reader.create(bytes);
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    const read = fields[tag];
    if (read) read(reader);
    else reader.skipType(tag & 7);
  }
}

/** The reader's own `string` takes a text that ends early. */
function textOf(reader: protobuf.Reader): string {
  return bytesOf(reader).toString();
}

function bytesOf(reader: protobuf.Reader): Buffer {
  return reader.bytes() as Buffer;
}

/** Whole numbers of 64 bits come as objects. Those beyond 2 ** 53 are rounded, and fit nowhere. */
function toNumber(value: number | protobuf.Long): number {
  return typeof value === 'number' ? value : value.high * 2 ** 32 + (value.low >>> 0);
}

function addTo<T>(list: T[], what: string, entry: T): void {
  if (list.length === tensorsMax) throw tooMany(what, tensorsMax);
  list.push(entry);
}
