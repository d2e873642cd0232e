// The errors of commands that are given something wrong.

import { ScorelineError } from '../shared/errors.js';

/** Something in the arguments or the environment of a command. */
export function wrong(message: string): ScorelineError {
  return new ScorelineError('configuration_invalid', message);
}

/** Something in a model's file. */
export function wrongFile(message: string): ScorelineError {
  return new ScorelineError('model_file_wrong', message);
}
