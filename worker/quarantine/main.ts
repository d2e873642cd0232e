// The process of a quarantine. It loads the model that its worker names and scores the batches that
// its worker sends. It ends when its worker ends, or when its engine is lost.

import path from 'node:path';
import process from 'node:process';
import { makeLogger } from '../../shared/log.js';
import { type Model, readModels } from '../../shared/models.js';
import { loadScorer, type Scorer } from '../batch/scorer.js';
import type { FromQuarantine, ToQuarantine } from './messages.js';

const log = makeLogger({ role: 'quarantine', level: 'warn' });
let loading: Promise<Scorer> | undefined;

const send = (message: FromQuarantine) => process.send?.(message);
const die = () => process.kill(process.pid, 'SIGKILL');

process.on('disconnect', die);
process.on('message', async (message: ToQuarantine) => {
  if ('folder' in message) {
    loading = load(message);
    await loading;
    send({ event: 'ready' });
    return;
  }
  const scorer = await loading;
  if (!scorer) throw new Error('Items came before the model. This is a bug.');
  const { results } = await scorer.score(message);
  send({ event: 'scored', results });
});

function load({ folder, file }: { folder: string; file: string }): Promise<Scorer> {
  const directory = path.dirname(folder);
  const names = [path.basename(folder)];
  const [model] = readModels({ directory, names, filesNeeded: false });
  // No warm-up, because callers are waiting. If the engine is lost, this process ends, and the end
  // tells the worker.
  return loadScorer({ ...(model as Model), file }, log, die);
}
