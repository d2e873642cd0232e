// Guesses the manifest of an ONNX file by the inputs and outputs of its network. What it cannot know it
// leaves to flags, and each guess has its reason.

import { isOpen } from '../shared/network.js';
import type { TensorValue } from '../worker/engine/engine.js';

export const kinds = ['text', 'image', 'table', 'tensors'] as const;
export type Kind = (typeof kinds)[number];

export interface Guess {
  readonly kind: Kind;
  /** Why it is this kind. */
  readonly reason: string;
  /** The sections of the manifest. */
  readonly input: Record<string, unknown>;
  readonly output: Record<string, unknown>;
  /** The further answers. */
  readonly outputs: Record<string, Record<string, unknown>>;
  /** The number of classes, if the output is a classification whose number is known. */
  readonly classes: number | undefined;
  /** Undefined for the default. */
  readonly batch: { readonly max: number } | 'none' | undefined;
}

const imagenet = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

/** Sections of the manifest that an exporter has left in the file. */
export interface Told {
  readonly input: Record<string, unknown> & { readonly kind: Kind };
  readonly output?: Record<string, unknown>;
}

/** Guesses by the values of a network and by what its exporter told. With `wanted`, the kind is that. */
export function guess(
  { inputs, outputs }: { inputs: readonly TensorValue[]; outputs: readonly TensorValue[] },
  { wanted, told: toldByFile }: { wanted?: Kind | undefined; told?: Told | undefined } = {},
): Guess | { readonly fault: string } {
  // Somebody who wants another kind knows better.
  const told =
    toldByFile && (wanted ?? toldByFile.input.kind) === toldByFile.input.kind
      ? toldByFile
      : undefined;
  const { kind, reason } = choose(wanted, told) ?? kindOf(inputs, outputs);
  const [firstFloats] = outputs.filter(({ datatype }) => datatype?.startsWith('FP'));
  const scores = outputs.find(isRowOfScores) ?? firstFloats;
  if (kind === 'tensors') {
    return {
      kind,
      reason,
      input: { kind },
      output: { kind },
      outputs: {},
      classes: undefined,
      batch: batchOf(inputs, outputs),
    };
  }
  const input = told?.input ?? inputOf(kind, inputs);
  if ('fault' in input) return input as { fault: string };
  const batch = isOpen(inputs[0]?.shape[0]) ? undefined : { max: 1 };
  const answersTensors = kind === 'image' && !outputs.some(isRowOfScores);
  if (answersTensors) {
    const remark = `${reason}, and no output is a row of scores, so it answers with its tensors`;
    const output = { kind: 'tensors' };
    return { kind, reason: remark, input, output, outputs: {}, classes: undefined, batch };
  }
  if (!scores) return { fault: `expected an output of floats for ${kind}; the network has none` };
  const classes = scores.shape.length === 2 ? sizeOf(scores.shape[1]) : undefined;
  const isNumber = told?.output
    ? told.output.kind === 'regression'
    : scores.shape.length === 1 || classes === 1;
  return {
    kind,
    reason,
    input,
    output: {
      ...(isNumber
        ? { kind: 'regression' }
        : { kind: 'classification', labels: 'labels.txt', activation: 'none' }),
      ...(scores !== firstFloats && { tensor: scores.name }),
    },
    outputs: furtherOf(outputs.filter((output) => output !== scores)),
    classes: isNumber ? undefined : classes,
    batch,
  };
}

/** Larger outputs would make answers long that nobody asked for. */
const furtherElementsMax = 1000;

/** The other outputs of floats of a network, as further answers. */
function furtherOf(others: readonly TensorValue[]): Record<string, Record<string, unknown>> {
  const entries = others.filter(isSmall).map((value): [string, Record<string, unknown>] => {
    const { name, shape } = value;
    const key = name
      .replaceAll(/\W+/g, '_')
      .replace(/^(?![A-Za-z])/, 'output_')
      .slice(0, 60);
    const isNumber = shape.slice(1).every((size) => size === 1);
    return [
      key,
      { kind: isNumber ? 'regression' : 'tensors', ...(key !== name && { tensor: name }) },
    ];
  });
  return Object.fromEntries(entries);
}

function isSmall({ datatype, shape }: TensorValue): boolean {
  const sizes = shape.slice(1).map((size) => sizeOf(size) ?? Number.NaN);
  const elements = sizes.reduce((product, size) => product * size, 1);
  return shape.length > 0 && /^FP/.test(datatype ?? '') && elements <= furtherElementsMax;
}

function isRowOfScores({ datatype, shape }: TensorValue): boolean {
  return /^FP/.test(datatype ?? '') && shape.length <= 2;
}

function choose(wanted: Kind | undefined, told: Told | undefined) {
  if (wanted) return { kind: wanted, reason: 'as --kind says' };
  return told && { kind: told.input.kind, reason: 'its exporter says so' };
}

function kindOf(
  inputs: readonly TensorValue[],
  outputs: readonly TensorValue[],
): { kind: Kind; reason: string } {
  const [only] = inputs;
  if (inputs.length === 1 && only && pictureOf(only)) {
    return { kind: 'image', reason: `its only input is a picture, ${show(only)}` };
  }
  if (!outputs.some(isRowOfScores) || !only) {
    return { kind: 'tensors', reason: 'no output of the network is a row of scores' };
  }
  if (inputs.length === 1 && only.datatype === 'BYTES' && isColumn(only)) {
    return { kind: 'text', reason: 'its only input is a text' };
  }
  if (inputs.length > 1 && inputs.every((input) => input.shape.length === 2 && isColumn(input))) {
    return { kind: 'table', reason: 'each of its inputs is a column' };
  }
  return { kind: 'tensors', reason: `its inputs are ${inputs.map(show).join(', ')}` };
}

function inputOf(kind: Kind, inputs: readonly TensorValue[]): Record<string, unknown> {
  const [only] = inputs as [TensorValue];
  if (kind === 'text') return { kind };
  if (kind === 'image') {
    const picture = inputs.length === 1 ? pictureOf(only) : undefined;
    if (picture) return { kind, ...picture };
    return {
      fault: `expected one input of float32, float16 or uint8 for pictures, as [N,3,height,width] or [N,height,width,3], or with 1 in place of 3; got ${inputs.map(show).join(', ')}. Serve it with --kind tensors`,
    };
  }
  return { kind, columns: inputs.flatMap(columnsOf) };
}

/** A matrix has a column for each of its numbers, which the file does not name. */
function columnsOf(input: TensorValue): { name: string; datatype: string }[] {
  const datatype = input.datatype === 'BYTES' ? 'category' : 'number';
  const width = sizeOf(input.shape[1]) ?? 1;
  if (width === 1) return [{ name: input.name, datatype }];
  return Array.from({ length: width }, (_, at) => ({ name: `${input.name} ${at}`, datatype }));
}

/**
 * The numbers of pixels are guessed by the framework: networks of PyTorch have the channels first, and mostly
 * ImageNet's mean and deviation; those of Keras have them last.
 */
function pictureOf({ datatype, shape }: TensorValue): Record<string, unknown> | undefined {
  const numbers = { FP32: 'float32', FP16: 'float16', UINT8: 'uint8' }[String(datatype)];
  const [, first, second, third] = shape.map(sizeOf);
  if (shape.length !== 4 || !numbers || !first || !second || !third) return undefined;
  const layout = isChannels(third) ? 'nhwc' : isChannels(first) ? 'nchw' : undefined;
  if (!layout) return undefined;
  const isPlanar = layout === 'nchw';
  const [height, width, channels] = isPlanar ? [second, third, first] : [first, second, third];
  const scaling = isPlanar && channels === 3 ? imagenet : { scale: 1 / 255 };
  return {
    ...{ width, height, tensor: `${numbers}-${layout}` },
    ...(channels === 1 && { channels: 'grey' }),
    ...(numbers !== 'uint8' && scaling),
  };
}

function isChannels(size: number): boolean {
  return size === 1 || size === 3;
}

/** Whether a value has one element in each row. */
function isColumn({ shape }: TensorValue): boolean {
  const [, width = 1, ...others] = shape;
  return others.length === 0 && width === 1;
}

function batchOf(
  inputs: readonly TensorValue[],
  outputs: readonly TensorValue[],
): { max: number } | 'none' | undefined {
  const firsts = [...inputs, ...outputs].map(({ shape }) => shape[0]);
  if (firsts.every((size) => size !== undefined && isOpen(size))) return undefined;
  return firsts.every((size) => isOpen(size) || size === 1) &&
    [...inputs, ...outputs].every(({ shape }) => shape.length > 0)
    ? { max: 1 }
    : 'none';
}

function sizeOf(size: number | string | undefined): number | undefined {
  return typeof size === 'number' && size > 0 ? size : undefined;
}

function show({ name, type, shape }: TensorValue): string {
  return `${name}: ${type}[${shape.map((size) => (isOpen(size) ? 'N' : size))}]`;
}
