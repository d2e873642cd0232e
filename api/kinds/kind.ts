// The interfaces of the kinds. An input kind turns a request into named tensors. An output kind turns
// the model's outputs into an answer.

import type { z } from 'zod';
import type { ErrorCode } from '../../shared/errors.js';
import type { Label } from '../../shared/manifest/labels.js';
import type { Model } from '../../shared/registry/models.js';
import type { Tensor } from '../../shared/tensors/tensors.js';
import type { Ending } from '../call/ending.js';
import type { WritePredictions } from './predictions.js';

/** A row of a table as the client sent it: a value for each column. */
export type Row = Readonly<Record<string, unknown>>;

/** One input as the client sent it: a text, JSON as it was written, the bytes of a file, or a row. */
export interface RawInput {
  /** The client's name for the input; undefined if it gave none. */
  readonly name: string | undefined;
  readonly value: string | Buffer | Row;
}

/** The tensors of each input of a request. */
export type Prepared = readonly (readonly Tensor[])[];

/** How requests hold inputs of a kind, for the description of the service. */
export interface InputForm {
  /** The `input` of a JSON body with one input. */
  readonly one: z.ZodType;
  /** The `input` of `POST /score`, which may hold several. */
  readonly several: z.ZodType;
  /** The `input` of an example. */
  readonly example: unknown;
  /** The content types of a raw body, the most common one first; none if it has to be JSON. */
  readonly mediaTypes: readonly string[];
  /** A raw body as an example, if it is text. */
  readonly rawExample?: string | undefined;
}

export interface InputKind {
  /** What a model of this kind takes, for error messages. */
  readonly noun: string;
  /** The content types of a raw body, as a pattern of `request.is`; of JSON if no raw body is taken. */
  readonly mediaTypes: 'text/*' | 'image/*' | 'application/json' | '*/*';
  /**
   * The first character of this kind's JSON form. It decides which model `/score` chooses; null if that
   * never chooses a model of this kind.
   */
  readonly jsonOpening: '"' | '{' | null;
  /** The errors that only inputs of this kind can have, for the description of the service. */
  readonly codes: readonly ErrorCode[];
  /**
   * Reads the inputs from the `input` of a JSON body.
   * @throws ScorelineError `input_invalid`, `input_missing`, `too_many_inputs`, `base64_invalid`
   */
  fromJson(input: unknown, model: Model): RawInput[];
  /**
   * Reads the input from a raw body or from a part of a form.
   * @param part the client's name for the input, and the charset that the Content-Type declares
   * @throws ScorelineError `unsupported_media_type`, `input_invalid`
   */
  fromBytes(bytes: Buffer, part?: { name?: string; charset?: string | undefined }): RawInput;
  /**
   * Validates an input and makes the tensors for the worker. Returns a promise only if that takes long.
   * @param ending stops the input from being prepared if it still waits for its turn
   * @throws ScorelineError `input_missing`, `input_invalid`, `text_too_long`, `network_undeclared` or
   * one of the `image_…` codes; or the reason of the ending
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
  /** The `predictions` of the native contract. */
  readonly predictions: z.ZodType;
  /** The entries of `result` before the time, in an answer of `POST /score`. */
  readonly reference: z.ZodType;
  /** The errors that only answers of this kind can have. */
  readonly codes: readonly ErrorCode[];
}

export interface OutputKind {
  /** Writes the `predictions` of the native contract as JSON, best first. */
  readonly writePredictions: WritePredictions;
  /** How many classes an answer of `POST /score` holds; undefined if it holds none. */
  referenceTop(model: Model): number | undefined;
  /** The entries of `result` in an answer of `POST /score`, as JSON. The caller appends the time. */
  referenceResult(
    results: ReadonlyArray<{ name: string; outputs: readonly Tensor[] }>,
    labels: readonly Label[],
  ): string;
  /** Describes what the writers above write. */
  readonly form: OutputForm;
}
