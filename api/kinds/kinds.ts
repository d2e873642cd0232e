// The table of input kinds and output kinds. Each kind has its own file.

import { ScorelineError } from '../../shared/errors.js';
import type { Manifest } from '../../shared/manifest.js';
import type { Model } from '../../shared/models.js';
import { classification } from './classification.js';
import { type ImageLimits, makeImageKind } from './image.js';
import type { InputKind, OutputKind, RawInput } from './kind.js';
import { ranking } from './ranking.js';
import { text } from './text.js';

export type InputKinds = Record<Manifest['input']['kind'], InputKind>;

export function makeInputKinds(limits: ImageLimits): InputKinds {
  return { text, image: makeImageKind(limits) };
}

/**
 * Reads the inputs for a model from the `input` of a JSON body.
 * @throws ScorelineError of `InputKind.fromJson`, which also says what the model takes
 */
export function readInputs(
  kinds: InputKinds,
  { name, manifest }: Model,
  input: unknown,
): RawInput[] {
  const kind = kinds[manifest.input.kind];
  try {
    return kind.fromJson(input);
  } catch (thrown) {
    if (!(thrown instanceof ScorelineError)) throw thrown;
    throw new ScorelineError(
      thrown.code,
      `The model ${name} takes ${kind.noun}. ${thrown.message}`,
    );
  }
}

export const outputKinds: Record<Manifest['output']['kind'], OutputKind> = {
  ranking,
  classification,
};
