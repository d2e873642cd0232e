// What a model answers to one input.

import type { ScoreResponse } from './answers.js';

export type Prediction = ScoreResponse['predictions'][number];
/** A class and its score, with what else the model says of the class. */
export type ClassPrediction = Extract<Prediction, { readonly label: string }>;
/** The number that a regression answers with. */
export type NumberPrediction = Extract<Prediction, { readonly value: number }>;

/** The embedding of a text or another input. */
export type EmbeddingPrediction = Extract<Prediction, { readonly embedding: unknown }>;

/** The JSON that a program answers with. */
export type JsonPrediction = Extract<Prediction, { readonly json: unknown }>;

/** `P` is what the model answers with, as its caller knows: see `output.kind` in the list of models. */
export type Score<P extends Prediction = Prediction> = Omit<ScoreResponse, 'predictions'> & {
  /** The best classes, best first; or one answer of another kind. */
  readonly predictions: readonly P[];
};
