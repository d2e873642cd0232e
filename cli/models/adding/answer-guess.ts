// Guesses what a network answers with by the names and shapes of its outputs: classes, a number, an embedding, or its
// tensors.

import { isFloats, isOpen } from '../../../shared/tensors/network.js';
import type { TensorValue } from '../../../worker/engine/engine.js';
import type { Companions } from './companions.js';
import type { Section } from './settings.js';

export interface Answer {
  readonly output: Section;
  /** Why it is this one, and how to choose another. */
  readonly reason: string;
  /** The output of the network that it is made of; undefined if it is all of them. */
  readonly value: TensorValue | undefined;
  /** The number of classes, or the dimension of an embedding, if it is known. */
  readonly size: number | undefined;
}

export interface AnswerHints {
  /** Whether texts become tokens, of each of which the network may have a vector. */
  readonly isOfTokens: boolean;
  readonly inputs: readonly TensorValue[];
  /** What the user has set of `output`. */
  readonly wanted: Section;
  /** What an exporter has told of `output`. */
  readonly told: Section | undefined;
  readonly pooling: Companions['pooling'];
  /** Whether the user gave labels. */
  readonly hasLabels: boolean;
}

/** What is wrong with the network, or with what the user set. */
export interface Fault {
  readonly fault: string;
}

type Way = 'scores' | 'vector' | 'vectors';

interface Choice {
  readonly value: TensorValue;
  readonly way: Way;
  readonly why: string;
}

/** Returns undefined if no output can be answered but by its tensor. */
export function guessAnswer(
  outputs: readonly TensorValue[],
  hints: AnswerHints,
): Answer | Fault | undefined {
  const { wanted, told } = hints;
  const floats = outputs.filter(isFloats);
  const named = wanted.tensor;
  const candidates = named === undefined ? floats : floats.filter(({ name }) => name === named);
  if (named !== undefined && candidates.length === 0) {
    return { fault: `--set output.tensor: expected one of ${list(floats)}; got ${named}` };
  }
  if ((wanted.kind ?? told?.kind) === 'tensors') {
    const reason = `all outputs of the network, as ${wanted.kind ? '--set' : 'its exporter'} says`;
    return { output: { kind: 'tensors' }, reason, value: undefined, size: undefined };
  }
  const choice = choose(candidates, hints);
  return choice && answerWith(choice, { floats, hints });
}

/** Chooses the output that is answered: the first of these for which there is one. */
function choose(candidates: readonly TensorValue[], hints: AnswerHints): Choice | undefined {
  const rows = candidates.filter((value) => isRow(value) && !isAlongTokens(value, hints));
  const layers = candidates.filter(({ shape }) => hints.isOfTokens && shape.length === 3);
  const find = (values: readonly TensorValue[], pattern: RegExp) =>
    values.find(({ name }) => pattern.test(name));
  const named = 'as its name says';
  const scores = choiceOf(find(rows, scoresName), 'scores', `is a row of scores, ${named}`);
  const vector = choiceOf(find(rows, vectorName), 'vector', `is an embedding, ${named}`);
  const row = choiceOf(find(rows, otherName), 'scores', 'is a row of numbers');
  const vectors = choiceOf(find(layers, layerName), 'vectors', 'has a vector for each token');
  const hidden = choiceOf(rows[0], 'vector', 'is a row of numbers');
  const kind = hints.wanted.kind ?? (hints.hasLabels ? 'classification' : undefined);
  if (kind === undefined) return scores ?? vector ?? row ?? vectors ?? hidden;
  if (kind === 'embedding') {
    return (
      vector ?? vectors ?? hidden ?? choiceOf(layers[0], 'vectors', 'has numbers for each token')
    );
  }
  return scores ?? row ?? choiceOf(rows[0], 'scores', 'is a row of numbers');
}

const scoresName = /logit|score|prob/i;
const vectorName = /embed/i;
/** Neither scores nor a vector. */
const otherName = /^(?!.*(logit|score|prob|embed|pooler|hidden))/i;
const layerName = /^(?!.*(logit|score|prob))/i;

function choiceOf(value: TensorValue | undefined, way: Way, why: string): Choice | undefined {
  return value && { value, way, why };
}

function answerWith(
  { value, way, why }: Choice,
  { floats, hints }: { floats: readonly TensorValue[]; hints: AnswerHints },
): Answer | Fault {
  const { wanted, told, hasLabels } = hints;
  const size = sizeOf(value.shape[way === 'vectors' ? 2 : 1]);
  const because = `${value.name} ${why}`;
  const tensor = value !== floats[0] && { tensor: value.name };
  if (way !== 'scores') return embedWith({ value, way, why: because, size }, { hints, tensor });
  const isOne = value.shape.length === 1 || size === 1;
  const kind = wanted.kind ?? told?.kind ?? (isOne ? 'regression' : 'classification');
  if (kind === 'regression' && (wanted.kind || !hasLabels)) {
    const reason = `a number, since ${because}. If it is the score of the second of two classes: --labels FILE`;
    return { output: { kind, ...tensor }, reason, value, size };
  }
  const remedy = isOne
    ? 'It is that of the second of two'
    : 'If they are an embedding: --set output.kind=embedding';
  const { activation = 'none', threshold } = told ?? {};
  const several = Array.isArray(threshold)
    ? `. Each label is answered from its threshold on: ${threshold.join(', ')}`
    : threshold === undefined
      ? ''
      : `. An input can have several labels: threshold is ${threshold}`;
  return {
    output: {
      ...{ kind: 'classification', labels: 'labels.txt', activation, ...tensor },
      ...(threshold !== undefined && { threshold }),
    },
    reason: `classes, since ${because}. ${remedy}${several}`,
    value,
    size: isOne ? 2 : size,
  };
}

function embedWith(
  choice: Choice & { readonly size: number | undefined },
  { hints, tensor }: { hints: AnswerHints; tensor: false | { readonly tensor: string } },
): Answer | Fault {
  const { value, way, why, size } = choice;
  const { pooling, wanted } = hints;
  const isPooled = way === 'vector';
  const found = isPooled ? undefined : pooling;
  const given = wanted.pooling ?? found?.way ?? 'mean';
  if (!isPooled && given !== 'mean' && given !== 'cls') {
    return {
      fault: `expected the mean or the first of the vectors of all tokens; ${found?.file ?? '--set'} says ${given}. Export the network with its pooling, or choose: --set output.pooling=mean`,
    };
  }
  const source = found ? `, as ${found.file} says` : '';
  const said = isPooled
    ? 'If they are scores of classes: --set output.kind=classification'
    : `Its ${given === 'cls' ? 'first vector' : 'mean over the text'} is the answer${source}. Another: --set output.pooling=${given === 'cls' ? 'mean' : 'cls'}`;
  return {
    output: { kind: 'embedding', dimension: size, pooling: isPooled ? 'none' : given, ...tensor },
    reason: `an embedding, since ${why}. ${said}. It gets the length 1, unless --set output.normalise=false`,
    value,
    size,
  };
}

/** Whether an output can have one number, or several, in each row. */
export function isRow(value: TensorValue): boolean {
  return isFloats(value) && value.shape.length <= 2;
}

/** Whether an output has a number for each token, as the start and end of an answer in a text. */
function isAlongTokens({ name, shape }: TensorValue, { isOfTokens, inputs }: AnswerHints): boolean {
  if (!isOfTokens) return false;
  const [, width] = shape;
  const tokens = inputs[0]?.shape[1];
  const isSameName = typeof width === 'string' && width !== '' && width === tokens;
  return isSameName || /^(start|end)_/.test(name);
}

function sizeOf(size: number | string | undefined): number | undefined {
  return typeof size === 'number' && !isOpen(size) ? size : undefined;
}

function list(values: readonly TensorValue[]): string {
  return values.map(({ name }) => name).join(', ') || 'no output, since none is of floats';
}
