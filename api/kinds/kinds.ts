// The kinds, seen from the API: how a request becomes inputs, and how scores are worded. One file
// a kind.

import type { Manifest } from '../../shared/manifest.js';
import type { Label, Model } from '../../shared/models.js';
import type { PackedScores } from '../../shared/scores.js';
import type { PreparedInput } from '../queue/dispatcher.js';
import { classification } from './classification.js';
import { makeImageKind } from './image.js';
import { ranking } from './ranking.js';
import { text } from './text.js';

/** One input as it came: a text, or the bytes of a file. */
export interface RawInput {
  /** How the caller calls it, where inputs have names. */
  readonly name: string | undefined;
  readonly value: string | Buffer;
}

export interface InputKind {
  /** Whether a JSON input has this kind's form; decides which model `/score` means. */
  matchesJson(input: unknown): boolean;
  /** The inputs in the `input` of a JSON body. */
  fromJson(input: unknown): RawInput[];
  /** The input in a raw body or in a part of a form. */
  fromBytes(bytes: Buffer, name?: string): RawInput;
  /** Validates an input and makes it ready for the worker. */
  prepare(input: RawInput, model: Model): Promise<PreparedInput>;
}

export interface OutputKind {
  /** The predictions of the native contract, best first. */
  predictions(scores: PackedScores, labels: readonly Label[]): object[];
  /** How many classes `POST /score` answers. */
  referenceTop(model: Model): number;
  /** The entries of the `result` of `POST /score`, without the time, as JSON. */
  referenceResult(
    results: ReadonlyArray<{ name: string; scores: PackedScores }>,
    labels: readonly Label[],
  ): string;
}

export type InputKinds = Record<Manifest['input']['kind'], InputKind>;

export function makeInputKinds(limits: { imagePixelsMax: number; imagesMax: number }): InputKinds {
  return { text, image: makeImageKind(limits) };
}

export const outputKinds: Record<Manifest['output']['kind'], OutputKind> = {
  ranking,
  classification,
};
