// The names that clients give to their inputs: the `id` of a line.

import { ScorelineError } from './errors.js';
import { shown } from './shown.js';

/** What a client calls its input. */
export type InputName = string | number;

const charactersMax = 200;

/**
 * Reads the `id` of a line. A number beyond the safe integers is refused, because its answer would carry another one.
 * @throws ScorelineError `input_invalid`
 */
export function readInputName(id: unknown): InputName | undefined {
  if (id === undefined || id === null) return undefined;
  if (typeof id === 'string' && id.length <= charactersMax) return id;
  if (Number.isSafeInteger(id)) return id as number;
  throw new ScorelineError(
    'input_invalid',
    `Expected "id" to be a string of at most ${charactersMax} characters or a whole number up to ${Number.MAX_SAFE_INTEGER}; got ${shown(id)}.`,
  );
}
