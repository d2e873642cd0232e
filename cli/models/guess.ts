// Guesses the manifest of an ONNX file by the inputs and outputs of its network. Flags say what it cannot know, and each
// guess has its reason.

import { isFloats, isOpen } from '../../shared/tensors/network.js';
import { takesTokens } from '../../worker/batch/network/tokens.js';
import type { TensorValue, Values } from '../../worker/engine/engine.js';
import { type Fault, guessAnswer, isRow } from './adding/answer-guess.js';
import { type Boxes, findBoxes } from './adding/boxes.js';
import type { Hints, Kind, Remarks, Told } from './adding/hints.js';
import {
  anySize,
  type Given,
  givenBy,
  imageOf,
  inputOf,
  isColumn,
  pictureOf,
  sizeOf,
  sizeRemedy,
  tokenizerRemedy,
} from './adding/input-guess.js';
import { type Section, sectionOf } from './adding/settings.js';
import { listOf, show } from './adding/shown-values.js';

export interface Guess {
  readonly kind: Kind;
  /** Why it is this kind. */
  readonly reason: string;
  /** What else was guessed. */
  readonly remarks: Remarks;
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

function asBoxes(
  start: Omit<Start, 'batch'>,
  {
    input,
    values,
    boxes: { name, areOfOne, haveScores },
  }: { input: Given; values: Values; boxes: Boxes },
): Guess {
  const batch = areOfOne ? 'none' : batchOf(values);
  const why = areOfOne
    ? `${name} has the boxes in one picture, as many as it finds. So batch is none: each picture is a run of its own`
    : `${name} has the boxes in each picture${haveScores ? ', with their scores' : ''}`;
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

function kindOf({ inputs, outputs }: Values, hints: Hints): { kind: Kind; reason: string } {
  const { companions, columns } = hints;
  const [only] = inputs;
  if (inputs.length === 1 && only && pictureOf(only, hints)) {
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

function batchOf({ inputs, outputs }: Values): Guess['batch'] {
  const firsts = [...inputs, ...outputs].map(({ shape }) => shape[0]);
  if (firsts.includes(undefined)) return 'none';
  if (firsts.every(isOpen)) return undefined;
  return firsts.every((size) => isOpen(size) || size === 1) ? { max: 1 } : 'none';
}
