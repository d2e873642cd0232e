// Runs that fail because of what the caller sent.
//
// A network can have rules for its inputs that its file does not declare, such as an index that must be
// below a size. A caller who sends tensors for the network itself gets the reason of ONNX Runtime, as
// nobody else can correct them. Callers of texts and pictures do not choose tensors, so to them a
// failed run is a fault of the model.

import { coerceError, ScorelineError } from '../../shared/errors.js';
import type { Item } from '../../shared/job.js';

/** Such a run may succeed at another time or on another machine. */
const isOfMachine = /alloc|memory|cuda|cudnn|cublas|tensorrt|webgpu|device|driver/i;
/** Where ONNX Runtime found the fault: a file and a line of its source, and a function. */
const whereInSource = /\S+\.(?:cc|cpp|cu|h):\d+ (?:\S+ (?=[A-Z])|.*?\)(?: const)?(?: |$))/g;
const reasonCharactersMax = 300;

/** Returns `inputs_refused` if the network refused the tensors of an item, and the error itself if not. */
export function refusalOr(error: Error, { top }: Pick<Item, 'top'>): Error {
  const isRun = error instanceof ScorelineError && error.code === 'model_failed';
  if (!isRun || error.cause === undefined || top !== undefined) return error;
  const { message } = coerceError(error.cause);
  if (isOfMachine.test(message)) return error;
  const reason = message.replaceAll(whereInSource, '').replaceAll(/\s+/g, ' ').trim();
  return new ScorelineError(
    'inputs_refused',
    `Expected inputs that the network can run with. ONNX Runtime says: ${reason.slice(0, reasonCharactersMax)}`,
  );
}
