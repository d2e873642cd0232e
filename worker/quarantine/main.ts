// The process of a quarantine, or of a trial. It loads the model that its worker sends and scores the batches
// that its worker sends. It ends when its worker ends, or when its engine is lost.

import { writeFileSync } from 'node:fs';
import process from 'node:process';
import { coerceError, ScorelineError } from '../../shared/errors.js';
import { makeLogger } from '../../shared/process/log.js';
import { whenParentIsGone } from '../../shared/process/parent.js';
import type { Model } from '../../shared/registry/models.js';
import { loadScorer, openScorer, type Scorer } from '../batch/scorer.js';
import { verifyModelFiles } from '../files/model-files.js';
import type { FromQuarantine, ToQuarantine } from './messages.js';

const log = makeLogger({ role: 'quarantine', level: 'warn' });
let loading: Promise<Scorer> | undefined;

const send = (message: FromQuarantine) => process.send?.(message);
const die = () => process.kill(process.pid, 'SIGKILL');

whenParentIsGone(process, die);
endFirst();
process.on('message', async (message: ToQuarantine) => {
  if ('model' in message) {
    loading = message.isTrial ? tryOut(message.model) : load(message.model);
    send(
      await loading.then(
        () => ({ event: 'ready' }) as const,
        (thrown) =>
          ({ event: 'failed', reason: coerceError(thrown).message, code: codeOf(thrown) }) as const,
      ),
    );
    return;
  }
  const scorer = await loading;
  if (!scorer) throw new Error('Items came before the model. This is a bug.');
  const { results } = await scorer.score(message);
  send({ event: 'scored', results });
});

/**
 * Lets the kernel end this process before the worker, if the memory of their container runs out. Otherwise it ends the
 * larger one, which is mostly the worker.
 */
function endFirst(): void {
  try {
    writeFileSync('/proc/self/oom_score_adj', '1000');
  } catch {
    // Only Linux has it.
  }
}

function codeOf(thrown: unknown) {
  return thrown instanceof ScorelineError ? thrown.code : undefined;
}

async function load(model: Model): Promise<Scorer> {
  // The files may have changed since the worker read them.
  await verifyModelFiles(model);
  // No warm-up, because callers are waiting. If the engine is lost, this process ends, and the end
  // tells the worker.
  return loadScorer(model, log, die);
}

async function tryOut(model: Model): Promise<Scorer> {
  await verifyModelFiles(model);
  const onLost = (reason: string) =>
    process.send?.({ event: 'lost', reason } satisfies FromQuarantine, undefined, undefined, die);
  // A made-up sample is left to the worker: what breaks on that may still be served.
  return openScorer(model, log, { onLost, rehearse: async () => 'broken' });
}
