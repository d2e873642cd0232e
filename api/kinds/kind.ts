// What a kind of input and a kind of output is: adapters from a request to named tensors, and from
// outputs to an answer.

import type { Label, Model } from '../../shared/models.js';
import type { Tensor } from '../../shared/tensors.js';
import type { Ending } from '../ending.js';
import type { WritePredictions } from './predictions.js';

/** One input as it came: a text, or the bytes of a file. */
export interface RawInput {
  /** The caller's name for it, where inputs have names. */
  readonly name: string | undefined;
  readonly value: string | Buffer;
}

export interface InputKind {
  /** The first character of this kind's JSON form; decides which model `/score` means. */
  readonly jsonOpening: '"' | '{';
  /**
   * The inputs in the `input` of a JSON body.
   * @throws ScorelineError when the value has another form
   */
  fromJson(input: unknown): RawInput[];
  /**
   * The input in a raw body or in a part of a form.
   * @param charset the encoding that the part declares
   * @throws ScorelineError when the bytes are not what they are declared to be
   */
  fromBytes(bytes: Buffer, part?: { name?: string; charset?: string | undefined }): RawInput;
  /**
   * Validates an input and makes the tensors that the worker gets, at once where that takes no time.
   * @param ending gives up an input that still waits for its turn
   * @throws ScorelineError when the input cannot be used
   */
  prepare(
    input: RawInput,
    model: Model,
    ending: Ending,
  ): readonly Tensor[] | Promise<readonly Tensor[]>;
}

export interface OutputKind {
  /** The predictions of the native contract, best first, as JSON. */
  readonly writePredictions: WritePredictions;
  /** How many classes `POST /score` answers. */
  referenceTop(model: Model): number;
  /** The entries of the `result` of `POST /score`, without the time, as JSON. */
  referenceResult(
    results: ReadonlyArray<{ name: string; outputs: readonly Tensor[] }>,
    labels: readonly Label[],
  ): string;
}
