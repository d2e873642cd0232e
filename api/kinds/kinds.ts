// The table of input kinds and output kinds. Each kind has its own file.

import { ScorelineError } from '../../shared/errors.js';
import type { Manifest } from '../../shared/manifest/manifest.js';
import type { Model } from '../../shared/registry/models.js';
import { classification } from './classification.js';
import { embedding } from './embedding.js';
import { file } from './file.js';
import { type ImageLimits, makeImageKind } from './image.js';
import { jsonInput, jsonOutput } from './json.js';
import type { InputKind, OutputKind, RawInput } from './kind.js';
import { ranking } from './ranking.js';
import { regression } from './regression.js';
import { table } from './table.js';
import { tensors } from './tensors.js';
import { text } from './text.js';

/** The kinds of single inputs. Tensors have an interface of their own, the Open Inference Protocol. */
export type InputKinds = Record<Exclude<Manifest['input']['kind'], 'tensors'>, InputKind>;
/** Those of an API instance, whose decoding of images can be watched. */
type WatchedKinds = InputKinds & { readonly image: ReturnType<typeof makeImageKind> };

export function makeInputKinds(limits: ImageLimits): WatchedKinds {
  return { text, image: makeImageKind(limits), table, json: jsonInput, file };
}

/**
 * Returns the kinds of a model that takes single inputs.
 * @throws ScorelineError `input_invalid` if it takes tensors
 */
export function kindsOf(
  kinds: InputKinds,
  { name, manifest: { input, output } }: Model,
): { input: InputKind; output: OutputKind } {
  if (input.kind !== 'tensors') {
    return { input: kinds[input.kind], output: outputKinds[output.kind] };
  }
  throw new ScorelineError(
    'input_invalid',
    `The model ${name} takes tensors. Send them to POST /v2/models/${name}/infer, as in the Open Inference Protocol.`,
  );
}

/**
 * Reads the inputs for a model from the `input` of a JSON body.
 * @throws ScorelineError of `InputKind.fromJson`, which also says what the model takes
 */
export function readInputs(kinds: InputKinds, model: Model, input: unknown): RawInput[] {
  const { input: kind } = kindsOf(kinds, model);
  return sayingWhat(kind, model, () => kind.fromJson(input, model));
}

/**
 * Reads the input for a model from a file in a form.
 * @throws ScorelineError of `InputKind.fromBytes`, which also says what the model takes
 */
export function readFile(
  kinds: InputKinds,
  model: Model,
  { bytes, name, charset }: { bytes: Buffer; name: string; charset?: string | undefined },
): RawInput {
  const { input: kind } = kindsOf(kinds, model);
  return sayingWhat(kind, model, () => kind.fromBytes(bytes, { name, charset }));
}

/** A client may have the wrong model, and not the wrong form. */
function sayingWhat<T>({ noun }: InputKind, model: Model, read: () => T): T {
  try {
    return read();
  } catch (thrown) {
    if (!(thrown instanceof ScorelineError)) throw thrown;
    throw new ScorelineError(
      thrown.code,
      `The model ${model.name} takes ${noun}. ${thrown.message}`,
    );
  }
}

/**
 * Reads one input for a model from a JSON value.
 * @throws ScorelineError as `readInputs`
 */
export function readInput(kinds: InputKinds, model: Model, value: unknown): RawInput {
  const [input, ...others] = readInputs(kinds, model, value);
  if (input && others.length === 0) return input;
  throw new ScorelineError(
    'too_many_inputs',
    `Expected one input; got ${others.length + 1}. Send several as a list, as in {"inputs": […, …]}.`,
  );
}

export const outputKinds: Record<Manifest['output']['kind'], OutputKind> = {
  ranking,
  classification,
  regression,
  tensors,
  embedding,
  json: jsonOutput,
};
