// The process of the quarantine: loads one model, scores what it is sent, and dies if it must.

import path from 'node:path';
import process from 'node:process';
import { makeLogger } from '../../shared/log.js';
import { type Model, readModels } from '../../shared/models.js';
import type { FromQuarantine, ToQuarantine } from '../quarantine.js';
import { openScorer } from '../scorer.js';

const folder = process.argv[2] as string;
const log = makeLogger({ role: 'quarantine', level: 'warn' });
const model = readModels({
  directory: path.dirname(folder),
  names: [path.basename(folder)],
  filesNeeded: true,
})[0] as Model;
const scorer = await openScorer(model, log);

const send = (message: FromQuarantine) => process.send?.(message);

process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
process.on('message', async (items: ToQuarantine) => {
  const { results } = await scorer.score(items);
  send({ event: 'scored', results });
});
send({ event: 'ready' });
