// What a model answers to one input.

import { parseExactly } from '../shared/exact-json.js';
import type { ScoreResponse } from './answers.js';

export type Prediction = ScoreResponse['predictions'][number];
/** A class and its score, with what else the model says of the class. */
export type ClassPrediction = Extract<Prediction, { readonly label: string }>;
/** The number that a regression answers with. */
export type NumberPrediction = Extract<Prediction, { readonly value: number }>;

/** The embedding of a text or another input. */
export type EmbeddingPrediction = Extract<Prediction, { readonly embedding: unknown }>;

/** `P` is what the model answers with, as its caller knows: see `output.kind` in the list of models. */
export type Score<P extends Prediction = Prediction> = Omit<ScoreResponse, 'predictions'> & {
  /** The best classes, best first, or a number. */
  readonly predictions: readonly P[];
};

type TensorPrediction = Extract<Prediction, { readonly datatype: string }>;

/** Reads what the service answers to one input, in JSON. */
export function readScore<P extends Prediction>(json: string): Score<P> {
  return makeExact(JSON.parse(json), () => parseExactly(json) as Score) as Score<P>;
}

/**
 * Puts strings of their digits in the place of whole numbers of 64 bits that JavaScript has rounded. The service takes
 * them so, too.
 * @param readExactly reads the same score again, with long whole numbers as strings
 */
export function makeExact(score: Score, readExactly: () => Score): Score {
  if (!wholeNumbersOf(score).some(({ data }) => !data.every(Number.isSafeInteger))) return score;
  const exact = wholeNumbersOf(readExactly());
  for (const [at, tensor] of wholeNumbersOf(score).entries()) {
    const data = tensor.data.map((element, index) =>
      Number.isSafeInteger(element) ? element : exact[at]?.data[index],
    );
    Object.assign(tensor, { data });
  }
  return score;
}

function wholeNumbersOf({ predictions = [], outputs = {} }: Score): readonly TensorPrediction[] {
  const all = [...predictions, ...(Object.values(outputs).flat() as Prediction[])];
  return all.filter(
    (each): each is TensorPrediction =>
      'datatype' in each && (each.datatype === 'INT64' || each.datatype === 'UINT64'),
  );
}
