// The interfaces of the kinds. An input kind turns a request into named tensors. An output kind turns
// the model's outputs into an answer.

import type { z } from 'zod';
import type { ErrorCode } from '../../shared/errors.js';
import type { Label } from '../../shared/labels.js';
import type { Model } from '../../shared/models.js';
import type { Tensor } from '../../shared/tensors.js';
import type { Ending } from '../ending.js';
import type { WritePredictions } from './predictions.js';

/** One input as the client sent it: a text, or the bytes of a file. */
export interface RawInput {
  /** The client's name for the input; undefined if it gave none. */
  readonly name: string | undefined;
  readonly value: string | Buffer;
}

/** How requests hold inputs of a kind, for the description of the service. */
export interface InputForm {
  /** The `input` of a JSON body with one input. */
  readonly one: z.ZodType;
  /** The `input` of `POST /score`, which may hold several. */
  readonly several: z.ZodType;
  /** The `input` of an example. */
  readonly example: unknown;
  /** The content types of a raw body, the most common one first. */
  readonly mediaTypes: readonly string[];
  /** A raw body as an example, if it is text. */
  readonly rawExample?: string | undefined;
}

export interface InputKind {
  /** What a model of this kind takes, for error messages. */
  readonly noun: string;
  /** The content types of a raw body, as a pattern of `request.is`. */
  readonly mediaTypes: 'text/*' | 'image/*';
  /** The first character of this kind's JSON form. It decides which model `/score` chooses. */
  readonly jsonOpening: '"' | '{';
  /** The errors that only inputs of this kind can have, for the description of the service. */
  readonly codes: readonly ErrorCode[];
  /**
   * Reads the inputs from the `input` of a JSON body.
   * @throws ScorelineError `input_invalid`, `input_missing`, `too_many_inputs`, `base64_invalid`
   */
  fromJson(input: unknown): RawInput[];
  /**
   * Reads the input from a raw body or from a part of a form.
   * @param part the client's name for the input, and the charset that the Content-Type declares
   * @throws ScorelineError `unsupported_media_type`, `input_invalid`
   */
  fromBytes(bytes: Buffer, part?: { name?: string; charset?: string | undefined }): RawInput;
  /**
   * Validates an input and makes the tensors for the worker. Returns a promise only if that takes long.
   * @param ending stops the input from being prepared if it still waits for its turn
   * @throws ScorelineError `input_missing`, `text_too_long` or one of the `image_…` codes; or the
   * reason of the ending
   */
  prepare(
    input: RawInput,
    model: Model,
    ending: Ending,
  ): readonly Tensor[] | Promise<readonly Tensor[]>;
  /** Describes what `fromJson`, `fromBytes` and `prepare` accept for a model. */
  describe(model: Model): InputForm;
}

/** What answers hold, for the description of the service. */
export interface OutputForm {
  /** A member of the `predictions` of the native contract. */
  readonly prediction: z.ZodType;
  /** The entries of `result` before the time, in an answer of `POST /score`. */
  readonly reference: z.ZodType;
}

export interface OutputKind {
  /** Writes the `predictions` of the native contract as JSON, best first. */
  readonly writePredictions: WritePredictions;
  /** How many classes an answer of `POST /score` holds. */
  referenceTop(model: Model): number;
  /** The entries of `result` in an answer of `POST /score`, as JSON. The caller appends the time. */
  referenceResult(
    results: ReadonlyArray<{ name: string; outputs: readonly Tensor[] }>,
    labels: readonly Label[],
  ): string;
  /** Describes what the writers above write. */
  readonly form: OutputForm;
}
