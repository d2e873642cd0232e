// Runs that fail because of what the caller sent.
//
// A network can have rules for its inputs that its file does not declare, such as an index that must be
// below a size. A caller who sends tensors for the network itself gets the reason of the engine, as
// nobody else can correct them. So does the caller of a table, whose values are those of the tensors.
// Callers who get classes of a text or a picture do not choose tensors, so to them a failed run is a fault
// of the model. A Python program gets the text or the picture itself, and says with a ValueError that it
// does not want it. So does a tokenizer whose rules have no token for a part of a text, or make none of it.

import { ScorelineError } from '../../shared/errors.js';
import type { Model } from '../../shared/registry/models.js';
import type { Item } from '../../shared/wire/job.js';
import { RunFailure } from '../engine/engine.js';
import { plainReason } from '../engine/plain-reason.js';

/** Such a run may succeed at another time or on another machine. */
const isOfMachine = /alloc|memory|cuda|cudnn|cublas|tensorrt|webgpu|device|driver/i;
const reasonCharactersMax = 300;

/** Returns `inputs_refused` if the network refused the tensors of an item, and the error itself if not. */
export function refusalOr(error: Error, item: Pick<Item, 'top'>, model: Model): Error {
  const isRun = error instanceof ScorelineError && error.code === 'model_failed';
  const { cause } = error;
  if (!isRun || !(cause instanceof RunFailure)) return error;
  const { message, runtime, reader } = cause;
  const mayRead = isChosen(item, model) && !isOfMachine.test(message);
  if (reader === 'log' || (reader === 'caller of tensors' && !mayRead)) return error;
  return new ScorelineError(
    'inputs_refused',
    `Expected inputs that the network can run with. ${runtime} says: ${plainReason(message).slice(0, reasonCharactersMax)}`,
  );
}

/** Returns the error of an item whose scores are not finite numbers, such as those of a row of huge numbers. */
export function notFinite(item: Pick<Item, 'top'>, model: Model): ScorelineError {
  return isChosen(item, model)
    ? new ScorelineError(
        'inputs_refused',
        'Expected inputs for which the model computes finite scores; got some for which it does not.',
      )
    : new ScorelineError('model_failed', 'The model returned scores that are not finite numbers.');
}

/** Whether the caller chose the values of the tensors. */
function isChosen({ top }: Pick<Item, 'top'>, { manifest }: Model): boolean {
  return top === undefined || manifest.input.kind === 'table';
}
