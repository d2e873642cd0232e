// The errors of commands that are given something wrong.

import { ScorelineError } from '../shared/errors.js';

/** Something in the arguments or the environment of a command. */
export function wrong(message: string): ScorelineError {
  return new ScorelineError('configuration_invalid', message);
}

/** Arguments that are too few, too many or unknown. The usage says what was expected. */
export function misused(given: readonly string[], usage: string): ScorelineError {
  return wrong(`${usage}\n\nGot: ${given.length === 0 ? 'nothing' : given.join(' ')}`);
}

/** Something in a model's file. */
export function wrongFile(message: string): ScorelineError {
  return new ScorelineError('model_file_wrong', message);
}
