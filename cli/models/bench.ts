// `npm run models -- bench NAME`: how many requests a second a model answers here, and how late, through the real
// path. The request is the example of its manifest.

import os from 'node:os';
import process from 'node:process';
import { describeMachine } from '../../bench/report.js';
import { toNumber, toNumbers } from '../numbers.js';
import { withFolder } from '../temporary.js';
import { makeTrial, modelIn } from './copy.js';
import { type Level, showLevel, startLoaded } from './load.js';
import { readOptions } from './options.js';

export const benchUsage =
  'bench NAME [--version V] [--clients 1,8,64] [--seconds 5] [--workers 1] [--json]';

/** @throws ScorelineError */
export async function benchModel(
  parameters: readonly string[],
  { directory, say }: { directory: string; say: (line: string) => void },
): Promise<void> {
  const { name, values } = readOptions(parameters, {
    usage: benchUsage,
    options: {
      version: { type: 'string' },
      clients: { type: 'string', default: '1,8,64' },
      seconds: { type: 'string', default: '5' },
      workers: { type: 'string', default: '1' },
      json: { type: 'boolean', default: false },
    },
  });
  const clients = toNumbers('clients', values.clients, { min: 1, max: 1024, isWhole: true });
  const seconds = toNumber('seconds', values.seconds, { min: 0.01, max: 600 });
  const workers = toNumber('workers', values.workers, { min: 1, max: 64, isWhole: true });
  const model = modelIn(directory, name, values.version);
  // Only this model and this version, wherever its other versions are.
  const levels = await withFolder(os.tmpdir(), 'scoreline-bench', async (folder) => {
    const service = await startLoaded(makeTrial(model, folder, []), { directory: folder, workers });
    const measured: Level[] = [];
    try {
      for (const count of clients) {
        process.stderr.write(`${name}: ${count} clients for ${seconds} s\n`);
        measured.push(await service.measure(count, seconds));
      }
    } finally {
      await service.close();
    }
    return measured;
  });
  if (!values.json) console.table(levels.map(showLevel));
  const { version } = model;
  say(
    JSON.stringify({ bench: 'model', model: name, version, workers, levels, ...describeMachine() }),
  );
}
