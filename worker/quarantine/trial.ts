// A trial: a process of its own loads a model and warms it up, before the worker does. If the model crashes or hangs there,
// the worker loses nothing.

import type { ChildProcess } from 'node:child_process';
import { coerceError, ScorelineError } from '../../shared/errors.js';
import { unless } from '../../shared/process/unless.js';
import type { Model } from '../../shared/registry/models.js';
import { startCell } from './cells.js';
import type { ToQuarantine } from './messages.js';
import { oneByOne } from './one-by-one.js';
import { answerOf, ProcessEnded } from './quarantine.js';

/**
 * @throws ScorelineError `model_file_wrong` if the model ends or hangs its process; `memory_insufficient` if the process is
 * killed meanwhile, so it is tried again; the reason of the signal if that is aborted
 */
type Trial = (model: Model, signal?: AbortSignal) => Promise<void>;

/**
 * Makes a `Trial` with one process at a time, as each has a copy of its model.
 * @param start starts a process; replaced in tests
 */
export function makeTrial(start = () => startCell('ignore')): Trial {
  return oneByOne((model, signal) => tryOut(model, signal, start));
}

/** Returns how many milliseconds the load and the warm-up of a model may take together. */
export function openLimit({ manifest: { loadMsMax, runMsMax } }: Model): number {
  // The warm-up has two runs.
  return loadMsMax + 2 * runMsMax;
}

async function tryOut(
  model: Model,
  signal: AbortSignal | undefined,
  start: () => ChildProcess,
): Promise<void> {
  signal?.throwIfAborted();
  const limitMs = openLimit(model);
  let limit: NodeJS.Timeout | undefined;
  const lateness = new Promise<never>((_, reject) => {
    limit = setTimeout(() => reject(new Error(`It did not end within ${limitMs} ms.`)), limitMs);
  });
  const child = start();
  // An `error` without a listener would end the worker.
  child.on('error', () => {});
  try {
    const answer = answerOf(child);
    child.send({ model, isTrial: true } satisfies ToQuarantine);
    const message = await unless(signal, Promise.race([answer, lateness]));
    // A model that `failed` there is refused by the worker as well, with the code of the error.
    if (message.event === 'lost') throw new Error(`It was lost: ${message.reason}.`);
  } catch (thrown) {
    signal?.throwIfAborted();
    const isKilled = thrown instanceof ProcessEnded && thrown.isKilled;
    const remedy = isKilled
      ? ' This happens when memory is short: give the worker more, or fewer models.'
      : '';
    throw new ScorelineError(
      isKilled ? 'memory_insufficient' : 'model_file_wrong',
      `${model.name}: expected the model to be loaded and warmed up in a process of its own. ${coerceError(thrown).message}${remedy}`,
      { cause: thrown },
    );
  } finally {
    clearTimeout(limit);
    child.kill('SIGKILL');
  }
}
