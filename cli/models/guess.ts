// Guesses the manifest of an ONNX file by the inputs and outputs of its network. Flags say what it cannot know, and each
// guess has its reason.

import { listed } from '../../shared/listed.js';
import { isFloats, isOpen, showName } from '../../shared/tensors/network.js';
import { takesTokens } from '../../worker/batch/network/tokens.js';
import type { TensorValue, Values } from '../../worker/engine/engine.js';
import { type Fault, guessAnswer, isRow } from './adding/answer-guess.js';
import type { Companions } from './adding/companions.js';
import { type Section, type Settings, sectionOf, setsPixels } from './adding/settings.js';

export const kinds = ['text', 'image', 'table', 'tensors'] as const;
export type Kind = (typeof kinds)[number];

/** A column of a table, as the manifest has it. */
type Column = Section & { readonly name: string };

export interface Guess {
  readonly kind: Kind;
  /** Why it is this kind. */
  readonly reason: string;
  /** What else was guessed, and why: a word for what, and a sentence. */
  readonly remarks: readonly (readonly [what: string, why: string])[];
  /** The sections of the manifest. */
  readonly input: Section;
  readonly output: Section;
  /** The further answers. */
  readonly outputs: Readonly<Record<string, Section>>;
  /** The number of classes or of numbers of an embedding, if it is known. */
  readonly size: number | undefined;
  /** Undefined for the default. */
  readonly batch: { readonly max: number } | 'none' | undefined;
  /** The tokenizer.json, if the network takes tokens. */
  readonly tokenizer: string | undefined;
}

const imagenet = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
const tokensMaxDefault = 512;
/** How many inputs or outputs a message names. */
const shownMax = 8;

/** Sections of the manifest that an exporter has left in the file. */
export interface Told {
  readonly input: Section & { readonly kind: Kind };
  readonly output?: Section;
  /** An input with the answer of the original. */
  readonly example?: Section;
}

export interface Hints {
  /** The kind that the user named. */
  readonly wanted?: Kind | undefined;
  readonly told?: Told | undefined;
  readonly companions: Companions;
  /** What the user has set, which is laid over what is guessed. */
  readonly settings: Settings;
  /** Whether the network puts its scores into maps, as skl2onnx does by default. */
  readonly hasMaps: boolean;
  /** The program that has written the ONNX file, as the file says. */
  readonly producer: string | undefined;
  /** Whether the user gave labels. */
  readonly hasLabels: boolean;
  /** The names of the columns, which the user gave. */
  readonly columns?: readonly string[] | undefined;
}

/** Whether a value of a section is the columns of a table. */
export function isColumns(value: unknown): value is readonly Column[] {
  return Array.isArray(value);
}

/** Guesses by the values of a network, and by what its exporter, the files beside it and the user say. */
export function guess(given: Values, hints: Hints): Guess | Fault {
  const { wanted } = hints;
  const values = withRows(given, hints);
  const fault = findNoTensors(given);
  // Somebody who wants another kind knows better.
  const told =
    hints.told && (wanted ?? hints.told.input.kind) === hints.told.input.kind
      ? hints.told
      : undefined;
  if (hints.producer === 'CatBoost' && wanted !== 'tensors') {
    return {
      fault:
        'expected the .cbm file of a model of CatBoost, since the ONNX file that CatBoost writes can answer otherwise than the model: with raw scores for Poisson and Tweedie, and with the places of classes instead of their names. Write it with model.save_model("model.cbm") and add it with --export, or serve the outputs of the ONNX file as they are: --kind tensors',
    };
  }
  if (hints.hasMaps && wanted !== 'tensors') {
    return {
      fault:
        'expected scores in a matrix; the operator ZipMap makes maps of them. Export the network with options={"zipmap": False}, or serve its other outputs: --kind tensors',
    };
  }
  if (fault !== undefined) return { fault };
  const { kind, reason } = choose(wanted, told) ?? kindOf(values, hints);
  if (kind === 'tensors') return asTensors(given, reason);
  if (kind === 'image' && !told) {
    const found = findBoxes(values, hints);
    const input = found && imageOf(values.inputs, hints, { scale: 1 / 255 });
    if (found && input)
      return 'fault' in input ? input : asBoxes({ kind, reason }, { input, values, boxes: found });
  }
  const { inputs } = values;
  const fixed = inputs[0]?.shape[0];
  if (!isOpen(fixed) && fixed !== 1) {
    return {
      fault: `expected a first dimension that varies, or is 1, since it counts inputs; got ${listOf(inputs)}. Export the network with a batch that varies, or serve whole tensors: --kind tensors`,
    };
  }
  const input = told ? givenBy(told, values, hints) : inputOf(kind, values, hints);
  if ('fault' in input) return input;
  const batch = isOpen(fixed) ? undefined : { max: 1 };
  return withAnswer({ kind, reason, batch }, { input, values, hints, told: told?.output });
}

/** Says what makes a network one that nobody can ask; undefined if nothing does. */
function findNoTensors({ inputs, outputs }: Values): string | undefined {
  const other = inputs.find(({ datatype }) => datatype === undefined);
  if (other)
    return `expected inputs that are tensors; ${show(other)} is a sequence, a map or optional. Export the network with tensors`;
  if (inputs.length === 0) return 'expected a network with inputs; it has none';
  if (outputs.some(({ datatype }) => datatype !== undefined)) return undefined;
  const got = outputs.length === 0 ? 'it has none' : `${listOf(outputs)} is a sequence or a map`;
  return `expected at least one output that is a tensor; ${got}. Export the network with tensors`;
}

function asTensors(values: Values, reason: string): Guess {
  return {
    ...{ kind: 'tensors', reason, remarks: [], input: { kind: 'tensors' } },
    ...{ output: { kind: 'tensors' }, outputs: {}, size: undefined, tokenizer: undefined },
    batch: batchOf(values),
  };
}

/** Detectors of torchvision take one picture, [3,height,width]. It is guessed like a batch of one. */
function withRows(values: Values, hints: Hints): Values {
  const [only] = values.inputs;
  const { length, 0: channels } = only?.shape ?? [];
  if (!only || length !== 3 || channels !== 3 || hints.wanted === 'tensors') return values;
  const inputs = [{ ...only, shape: [1, ...only.shape] }, ...values.inputs.slice(1)];
  return findBoxes(values, hints)?.areOfOne ? { ...values, inputs } : values;
}

/** Boxes in a picture, as a detector finds them. */
interface Boxes {
  readonly name: string;
  /** Whether they are those of one picture, and as many as it has. */
  readonly areOfOne: boolean;
}

const boxesName = /box|det/i;

/** Finds the boxes among the outputs: four numbers each, beside outputs with as many scores or labels. */
function findBoxes({ inputs, outputs }: Values, hints: Hints): Boxes | undefined {
  const { kind = 'tensors', tensor } = sectionOf(hints.settings, 'output');
  if (hints.hasLabels || kind !== 'tensors' || tensor !== undefined) return undefined;
  const rows = inputs[0]?.shape[0];
  for (const boxes of outputs) {
    const { name, shape } = boxes;
    const count = shape.at(-2);
    const areOfOne = shape.length === 2;
    if (shape.at(-1) !== 4 || shape.length > 3 || (areOfOne && count === rows)) continue;
    // Of many pictures at once, these are four scores of each, whose rows some exporters name otherwise than the pictures.
    if (areOfOne && isOpen(rows) && !boxesName.test(name)) continue;
    const isBeside = ({ shape: other }: TensorValue) =>
      other.length === shape.length - 1 && other.at(-1) === count;
    const others = outputs.filter((output) => output !== boxes);
    if (others.some(isBeside)) return { name, areOfOne };
  }
  return undefined;
}

function asBoxes(
  start: Omit<Start, 'batch'>,
  { input, values, boxes: { name, areOfOne } }: { input: Given; values: Values; boxes: Boxes },
): Guess {
  const batch = areOfOne ? 'none' : batchOf(values);
  const why = areOfOne
    ? `${name} has the boxes in one picture, as many as it finds. So batch is none: each picture is a run of its own`
    : `${name} has the boxes in each picture`;
  return {
    ...{ ...start, input: input.section, output: { kind: 'tensors' }, outputs: {} },
    ...{ size: undefined, tokenizer: undefined, batch },
    remarks: [...input.remarks, ['answer', `all outputs of the network, since ${why}`]],
  };
}

type Start = Pick<Guess, 'kind' | 'reason' | 'batch'>;

function withAnswer(
  start: Start,
  parts: { input: Given; values: Values; hints: Hints; told: Section | undefined },
): Guess | Fault {
  const { input, values, hints, told } = parts;
  const { inputs, outputs } = values;
  const answer = guessAnswer(outputs, {
    ...{ inputs, told, wanted: sectionOf(hints.settings, 'output') },
    ...{ isOfTokens: input.tokenizer !== undefined, pooling: hints.companions.pooling },
    hasLabels: hints.hasLabels,
  });
  if (!answer) return withoutAnswer(start, input, values);
  if ('fault' in answer) return answer;
  const { output, value, size } = answer;
  const others = output.kind === 'embedding' ? [] : outputs.filter((each) => each !== value);
  const further = furtherOf(value ? others : []);
  const names = Object.keys(further).join(', ');
  return {
    ...{ ...start, output, outputs: further, tokenizer: input.tokenizer },
    size: output.kind === 'regression' ? undefined : size,
    remarks: [
      ...input.remarks,
      ['answer', answer.reason],
      ...(names ? [['others', `${names}: further answers, in outputs`] as const] : []),
    ],
    input: input.section,
  };
}

/** What is guessed of an input. */
interface Given {
  readonly section: Section;
  readonly remarks: Guess['remarks'];
  readonly tokenizer?: string | undefined;
}

/** Pictures are answered with tensors, such as masks; other inputs are then tensors as well. */
function withoutAnswer(start: Start, input: Given, values: Values): Guess | Fault {
  const remark = 'no output is a row of scores, so it answers with its tensors';
  if (start.kind === 'image') {
    const { section, remarks } = input;
    const reason = `${start.reason}, and ${remark}`;
    return { ...asTensors(values, reason), ...start, reason, input: section, remarks };
  }
  if (input.tokenizer !== undefined && values.outputs.some(isFloats)) {
    return asTensors(values, `it takes tokens, and ${remark}`);
  }
  return {
    fault: `expected an output of floats for ${start.kind}, with a row for each input; got ${listOf(values.outputs)}. Serve it with --kind tensors`,
  };
}

/** Larger outputs would make answers long that nobody asked for. */
const furtherElementsMax = 1000;

/** The other outputs of floats of a network, as further answers. */
function furtherOf(others: readonly TensorValue[]): Record<string, Section> {
  const entries = others.filter(isSmall).map((value): [string, Section] => {
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

function isSmall(value: TensorValue): boolean {
  const { shape } = value;
  const sizes = shape.slice(1).map((size) => sizeOf(size) ?? Number.NaN);
  const elements = sizes.reduce((product, size) => product * size, 1);
  return shape.length > 0 && isFloats(value) && elements <= furtherElementsMax;
}

function choose(wanted: Kind | undefined, told: Told | undefined) {
  if (wanted) return { kind: wanted, reason: 'as --kind says' };
  return told && { kind: told.input.kind, reason: 'its exporter says so' };
}

function kindOf(
  { inputs, outputs }: Values,
  { companions, columns, settings }: Hints,
): { kind: Kind; reason: string } {
  const [only] = inputs;
  if (inputs.length === 1 && only && pictureOf(only, settings)) {
    return { kind: 'image', reason: `its only input is a picture, ${show(only)}` };
  }
  if (inputs.length === 1 && only && pictureOf(only, anySize)) {
    return {
      kind: 'tensors',
      reason: `its only input, ${show(only)}, does not say how large it is. If it is a picture: ${sizeRemedy}`,
    };
  }
  if (takesTokens(inputs)) {
    const what = `its inputs are the tokens of a text, ${inputs.map(({ name }) => name).join(', ')}`;
    return companions.tokenizer === undefined
      ? {
          kind: 'tensors',
          reason: `${what}, and there is no tokenizer.json beside it. ${tokenizerRemedy}`,
        }
      : { kind: 'text', reason: `${what}, and ${companions.tokenizer} makes them` };
  }
  if (!outputs.some(isRow) || !only) {
    return { kind: 'tensors', reason: 'no output of the network is a row of scores' };
  }
  if (columns) return { kind: 'table', reason: 'as --columns names its columns' };
  if (inputs.length === 1 && only.datatype === 'BYTES' && isColumn(only)) {
    return { kind: 'text', reason: 'its only input is a text' };
  }
  if (inputs.length > 1 && inputs.every((input) => input.shape.length === 2 && isColumn(input))) {
    return { kind: 'table', reason: 'each of its inputs is a column' };
  }
  const isMatrix = inputs.every(({ shape }) => shape.length === 2);
  const remedy = isMatrix
    ? '. If their numbers are the columns of a table: --columns NAME,NAME,…'
    : '';
  return { kind: 'tensors', reason: `its inputs are ${listOf(inputs)}${remedy}` };
}

const tokenizerRemedy = 'To send texts: --tokenizer FILE';

function givenBy({ input }: Told, { inputs }: Values, hints: Hints): Given | Fault {
  if (isColumns(input.columns)) {
    return tableOf(input.columns, inputs, { names: hints.columns, why: 'as its exporter says' });
  }
  const remarks: Guess['remarks'] =
    input.kind === 'image' ? [['pixels', sayPixels(input, hints)]] : [];
  return { section: input, remarks };
}

function inputOf(kind: Kind, { inputs }: Values, hints: Hints): Given | Fault {
  if (kind === 'text')
    return takesTokens(inputs) ? tokensOf(inputs, hints) : { section: { kind }, remarks: [] };
  if (kind === 'image') return imageOf(inputs, hints);
  const columns = inputs.flatMap(columnsOf);
  const why =
    columns.length > inputs.length
      ? 'numbered, since the file does not name the columns of a matrix'
      : 'the names of the inputs';
  return tableOf(columns, inputs, { names: hints.columns, why });
}

function tokensOf(
  inputs: readonly TensorValue[],
  { companions: { tokenizer, tokensMax } }: Hints,
): Given | Fault {
  if (tokenizer === undefined) {
    return {
      fault: `expected the tokenizer.json of the network, since its inputs are tokens: ${listOf(inputs)}. ${tokenizerRemedy}`,
    };
  }
  const [width = tokensMaxDefault] = inputs.map(({ shape }) => sizeOf(shape[1])).filter(Boolean);
  const isFixed = inputs.some(({ shape }) => sizeOf(shape[1]) !== undefined);
  const said = tokensMax && (!isFixed || tokensMax.tokens <= width) ? tokensMax : undefined;
  const tokens = said?.tokens ?? width;
  const why = said
    ? `as ${said.file} says`
    : isFixed
      ? 'as the network takes'
      : 'as BERT has them, since no file beside it says';
  return {
    section: { kind: 'text', tokensMax: tokens },
    remarks: [['tokens', `at most ${tokens} of a text, ${why}. Others: --set input.tokensMax=N`]],
    tokenizer,
  };
}

function imageOf(inputs: readonly TensorValue[], hints: Hints, scaling?: Section): Given | Fault {
  const [only] = inputs;
  const picture =
    inputs.length === 1 && only ? pictureOf(only, hints.settings, scaling) : undefined;
  if (!picture) {
    if (inputs.length === 1 && only && pictureOf(only, anySize)) {
      return {
        fault: `expected the size of the pictures; got ${show(only)}. Say it: ${sizeRemedy}`,
      };
    }
    return {
      fault: `expected one input of float32, float16 or uint8 for pictures, as [N,3,height,width] or [N,height,width,3], or with 1 in place of 3; got ${listOf(inputs)}. Serve it with --kind tensors`,
    };
  }
  return {
    section: { kind: 'image', ...picture },
    remarks: [['pixels', sayPixels(picture, hints)]],
  };
}

function sayPixels({ tensor, channels, mean, scale }: Section, { settings }: Hints): string {
  const [numbers = '', layout] = String(tensor).split('-');
  const order = layout === 'nchw' ? 'first' : 'last';
  const what = channels === 'grey' ? '1, so they are grey' : '3, so they are red, green and blue';
  const place = `${tensor}, since the ${order} size of a picture is ${what}`;
  if (setsPixels(sectionOf(settings, 'input')))
    return `${place}. They become numbers as --set says`;
  if (mean) {
    return `${place}. ${numbers} gets ImageNet's mean and std, as most networks with the channels first. From 0 to 1: --set input.scale=${1 / 255}; blue first: --set input.channels=bgr`;
  }
  if (scale === 1) {
    return `${place}. They stay from 0 to 255, which the network scales. From 0 to 1: --set input.scale=${1 / 255}`;
  }
  if (scale !== undefined) {
    return `${place}. They become 0 to 1. From -1 to 1: --set input.mean=0.5 --set input.std=0.5; from 0 to 255: --set input.scale=1`;
  }
  return `${place}. They stay from 0 to 255, since the network takes bytes`;
}

/** Makes a table of columns that have the names that the user gave, or their own, for the reason `why`. */
function tableOf(
  columns: readonly Column[],
  inputs: readonly TensorValue[],
  { names, why }: { names: readonly string[] | undefined; why: string },
): Given | Fault {
  const own = columns.map(({ name }) => name);
  if (names && names.length !== own.length) {
    return {
      fault: `--columns: expected ${own.length} names, one for each column of ${listOf(inputs)}; got ${names.length}`,
    };
  }
  // Columns differ in their categories and gaps, so a name at the place of another one would take these over.
  const moved = names?.find((name, at) => name !== own[at] && own.includes(name));
  if (moved !== undefined) {
    return {
      fault: `--columns: expected the columns in their order in the file, ${own.join(', ')}; got ${moved} at another place`,
    };
  }
  const named = columns.map((column, at) => ({ ...column, name: names?.[at] ?? column.name }));
  const reason = names ? 'as --columns says' : `${why}. Others: --columns NAME,NAME,…`;
  const gaps = columns.every(({ missing }) => missing === undefined)
    ? '. Gaps are refused, unless a column gets the key missing'
    : '';
  return {
    section: { kind: 'table', columns: named },
    remarks: [['columns', `${named.length}, ${reason}${gaps}`]],
  };
}

/** A matrix has a column for each of its numbers, which the file does not name. */
function columnsOf(input: TensorValue): Column[] {
  const datatype = input.datatype === 'BYTES' ? 'category' : 'number';
  const width = sizeOf(input.shape[1]) ?? 1;
  if (width === 1) return [{ name: input.name, datatype }];
  return Array.from({ length: width }, (_, at) => ({ name: `${input.name} ${at}`, datatype }));
}

/**
 * The numbers of pixels are guessed by the framework: networks of PyTorch have the channels first, and mostly
 * ImageNet's mean and deviation; those of Keras have them last. Detectors, as those of torchvision and YOLO, normalise
 * by themselves.
 */
function pictureOf(
  { datatype, shape }: TensorValue,
  settings: Settings,
  wanted?: Section,
): Record<string, unknown> | undefined {
  const numbers = { FP32: 'float32', FP16: 'float16', UINT8: 'uint8' }[String(datatype)];
  const [, first = 0, second = 0, third = 0] = shape.map(sizeOf);
  const layout = isChannels(third) ? 'nhwc' : isChannels(first) ? 'nchw' : undefined;
  if (shape.length !== 4 || !numbers || !layout) return undefined;
  const isPlanar = layout === 'nchw';
  const [high, wide, channels] = isPlanar ? [second, third, first] : [first, second, third];
  const set = sectionOf(settings, 'input');
  const [height, width] = [high || set.height, wide || set.width];
  if (!height || !width) return undefined;
  const scaling = wanted ?? (isPlanar && channels === 3 ? imagenet : { scale: 1 / 255 });
  return {
    ...{ width, height, tensor: `${numbers}-${layout}` },
    ...(channels === 1 && { channels: 'grey' }),
    ...(numbers !== 'uint8' && scaling),
  };
}

/** Networks of convolutions may take pictures of any size. The manifest says which one they get. */
const anySize: Settings = { input: { width: 1, height: 1 } };
const sizeRemedy = '--set input.width=640 --set input.height=640';

function isChannels(size: number): boolean {
  return size === 1 || size === 3;
}

/** Whether a value has one element in each row. */
function isColumn({ shape }: TensorValue): boolean {
  const [, width = 1, ...others] = shape;
  return others.length === 0 && width === 1;
}

function batchOf({ inputs, outputs }: Values): Guess['batch'] {
  const firsts = [...inputs, ...outputs].map(({ shape }) => shape[0]);
  if (firsts.includes(undefined)) return 'none';
  if (firsts.every(isOpen)) return undefined;
  return firsts.every((size) => isOpen(size) || size === 1) ? { max: 1 } : 'none';
}

function sizeOf(size: number | string | undefined): number | undefined {
  return typeof size === 'number' && size > 0 ? size : undefined;
}

function show({ name, type, datatype, shape }: TensorValue): string {
  if (datatype === undefined) return showPlain(name);
  return `${showPlain(name)}: ${type}[${shape.map((size) => (isOpen(size) ? showPlain(String(size || -1)) : size))}]`;
}

/** Shows some of many values. */
function listOf(values: readonly TensorValue[]): string {
  return listed(values.map(show), shownMax);
}

/** A file may name its values as it likes, also with line breaks and the codes of a terminal. */
function showPlain(name: string): string {
  return /^[\w./:-]{1,60}$/.test(name) ? name : showName(name).replaceAll(/\p{C}/gu, '?');
}
