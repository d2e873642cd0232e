// A trial: a process of its own loads a model and warms it up, before the worker does. If the model crashes or hangs there,
// the worker loses nothing.

import { coerceError, ScorelineError } from '../../shared/errors.js';
import type { Model } from '../../shared/registry/models.js';
import { startCell } from './cells.js';
import type { ToQuarantine } from './messages.js';
import { oneByOne } from './one-by-one.js';
import { answerOf } from './quarantine.js';

/** @throws ScorelineError `model_file_wrong` if the model ends or hangs its process */
type Trial = (model: Model) => Promise<void>;

/** Makes a `Trial` with one process at a time, as each has a copy of its model. */
export function makeTrial(): Trial {
  return oneByOne(tryOut);
}

/** Returns how many milliseconds the load and the warm-up of a model may take together. */
export function openLimit({ manifest: { loadMsMax, runMsMax } }: Model): number {
  // The warm-up has two runs.
  return loadMsMax + 2 * runMsMax;
}

async function tryOut(model: Model): Promise<void> {
  const limitMs = openLimit(model);
  let limit: NodeJS.Timeout | undefined;
  const lateness = new Promise<never>((_, reject) => {
    limit = setTimeout(() => reject(new Error(`It did not end within ${limitMs} ms.`)), limitMs);
  });
  const child = startCell('ignore');
  // An `error` without a listener would end the worker.
  child.on('error', () => {});
  try {
    const answer = answerOf(child);
    child.send({ model, isTrial: true } satisfies ToQuarantine);
    const message = await Promise.race([answer, lateness]);
    // A model that `failed` there is refused by the worker as well, with the code of the error.
    if (message.event === 'lost') throw new Error(`It was lost: ${message.reason}.`);
  } catch (thrown) {
    throw new ScorelineError(
      'model_file_wrong',
      `${model.name}: expected the model to be loaded and warmed up in a process of its own. ${coerceError(thrown).message}`,
      { cause: thrown },
    );
  } finally {
    clearTimeout(limit);
    child.kill('SIGKILL');
  }
}
