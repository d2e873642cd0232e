// How the answers of an optimised network compare with those of the original.
//
// Of labels, an answer agrees if the best class is the same. Of numbers and tensors, it agrees if no number differs by
// more than a hundredth of the largest one that the original answered with.

import { numbersOf } from '../../../api/inference/json-tensor.js';
import type { Model } from '../../../shared/registry/models.js';
import { mapScores } from '../../../shared/tensors/scores.js';
import type { Tensor } from '../../../shared/tensors/tensors.js';
import type { Scorer } from '../../../worker/batch/scorer.js';
import { wrongFile } from '../../faults.js';
import type { ModelInput } from '../inputs.js';

const toleranceShare = 0.01;

/** The numbers of an answer: a score for each class, or the numbers of each output. */
export type Answer = readonly ArrayLike<number>[];

export interface Comparison {
  /** The share of the inputs with the same answer. */
  readonly agreement: number;
  /** The largest difference of a score or number. */
  readonly differenceMax: number;
  /** The names of some inputs with another answer. */
  readonly differing: readonly string[];
}

/**
 * Scores each input alone, so that no input changes the answer to another.
 * @throws ScorelineError the first that fails
 */
export async function answerAll(
  model: Model,
  scorer: Scorer,
  inputs: readonly ModelInput[],
): Promise<Answer[]> {
  const top = model.labels.length > 0 ? model.labels.length : undefined;
  const answers: Answer[] = [];
  for (const { name, inputs: tensors } of inputs) {
    const [result] = (await scorer.score([{ inputs: tensors, top }])).results;
    if (!result || 'error' in result) {
      const detail = result ? result.error.detail : 'no answer';
      throw wrongFile(`${model.name}: ${name}: ${detail}`);
    }
    answers.push(
      top === undefined ? result.outputs.map(numbers) : [scoresByClass(result.outputs, top)],
    );
  }
  return answers;
}

function scoresByClass(outputs: readonly Tensor[], count: number): ArrayLike<number> {
  const scores = new Float64Array(count);
  mapScores(outputs, (index, score) => {
    scores[index] = score;
  });
  return scores;
}

function numbers({ datatype, data }: Tensor): ArrayLike<number> {
  // Texts are compared by their bytes.
  return Float64Array.from(datatype === 'BYTES' ? data : numbersOf(datatype, data), Number);
}

export function compareAnswers(
  { labels }: Model,
  inputs: readonly ModelInput[],
  { before, after }: { before: readonly Answer[]; after: readonly Answer[] },
): Comparison {
  const scales = scalesOf(before);
  const differing: string[] = [];
  let differenceMax = 0;
  for (const [at, one] of before.entries()) {
    const other = after[at] as Answer;
    const differences = one.map((tensor, index) => differenceOf(tensor, other[index] ?? []));
    differenceMax = Math.max(differenceMax, ...differences);
    const isSame =
      labels.length > 0
        ? bestOf(one) === bestOf(other)
        : differences.every(
            (difference, index) => difference <= toleranceShare * (scales[index] ?? 0),
          );
    if (!isSame) differing.push(inputs[at]?.name ?? '');
  }
  return { agreement: 1 - differing.length / before.length, differenceMax, differing };
}

/** The largest absolute number in each output of all answers. */
function scalesOf(answers: readonly Answer[]): number[] {
  const [first = []] = answers;
  return first.map((_, index) =>
    answers.reduce((most, answer) => largest(answer[index] ?? [], most), 0),
  );
}

function largest(tensor: ArrayLike<number>, atLeast: number): number {
  let most = atLeast;
  for (let at = 0; at < tensor.length; at++) most = Math.max(most, Math.abs(tensor[at] as number));
  return most;
}

function differenceOf(one: ArrayLike<number>, other: ArrayLike<number>): number {
  if (one.length !== other.length) return Number.POSITIVE_INFINITY;
  let most = 0;
  for (let at = 0; at < one.length; at++) {
    const [left, right] = [one[at] as number, other[at] as number];
    if (!Object.is(left, right)) most = Math.max(most, Math.abs(left - right));
  }
  return most;
}

export function bestOf([scores]: Answer): number {
  let best = 0;
  for (let at = 1; at < (scores?.length ?? 0); at++) {
    if ((scores?.[at] as number) > (scores?.[best] as number)) best = at;
  }
  return best;
}

/** How right answers are, judged by the inputs whose right answers are known; undefined if none is. */
export interface Accuracy {
  readonly known: number;
  /** The share of right labels. */
  readonly share?: number;
  /** The mean absolute error of a regression. */
  readonly meanError?: number;
}

export function judge(
  inputs: readonly ModelInput[],
  answers: readonly Answer[],
): Accuracy | undefined {
  const pairs = inputs.map((input, at) => ({ input, answer: answers[at] as Answer }));
  const labelled = pairs.filter(({ input }) => input.classes !== undefined);
  if (labelled.length > 0) {
    const right = labelled.filter(({ input, answer }) => input.classes?.has(bestOf(answer)));
    return { known: labelled.length, share: right.length / labelled.length };
  }
  const valued = pairs.filter(({ input }) => input.value !== undefined);
  if (valued.length === 0) return undefined;
  const errors = valued.map(({ input, answer }) =>
    Math.abs((input.value as number) - (answer[0]?.[0] as number)),
  );
  const sum = errors.reduce((total, error) => total + error, 0);
  return { known: valued.length, meanError: sum / valued.length };
}
