// `npm run bench -- queue [--seconds S] [--rounds R] [--tuned]`
//
// Measures what the queue costs. The same FAQ model runs (a) inside one Express process, and (b)
// behind the queue with one API and one worker process. Both are measured at 1, 64 and 256 clients,
// and take turns in one run.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import process from 'node:process';
import { v8Arguments } from '../cli/processes/children.js';
import { packageDirectory } from '../shared/version.js';
import { isRanked, type LoadResult, median, runLoad } from './load.js';
import { readOptions } from './options.js';
import { readQuestionBodies } from './questions.js';
import { report } from './report.js';
import { startBenchService } from './service.js';

const values = readOptions({
  seconds: 4,
  rounds: 5,
  // Gives (a) the changes that make (b) fast: see api/http/connection/server.ts and cli/processes/children.ts.
  tuned: false,
});
const modelsDirectory = path.join(packageDirectory(), 'models');
const model = 'faq-matcher';

const service = await startBenchService({ models: model, modelsDirectory });
const inProcess = fork(
  new URL('./in-process.js', import.meta.url),
  [modelsDirectory, model, ...(values.tuned ? ['tuned'] : [])],
  { execArgv: values.tuned ? v8Arguments : [] },
);
const [{ port }] = (await once(inProcess, 'message')) as [{ port: number }];

const bodies = readQuestionBodies();
const sides = {
  a: `http://127.0.0.1:${port}/score`,
  b: `${service.url}/v1/models/${model}/score`,
};
const measure = (side: 'a' | 'b', clients: number, seconds: number) =>
  runLoad({ url: sides[side], clients, seconds, bodies, isRight: isRanked });

await measure('a', 64, 2);
await measure('b', 64, 2);
const rows = [];
const ratios: Record<string, number> = {};
for (const clients of [1, 64, 256]) {
  const results: { a: LoadResult[]; b: LoadResult[] } = { a: [], b: [] };
  for (let round = 0; round < values.rounds; round++) {
    // The two sides take turns at going first.
    for (const side of round % 2 === 0 ? (['a', 'b'] as const) : (['b', 'a'] as const)) {
      results[side].push(await measure(side, clients, values.seconds));
    }
  }
  const a = summarize(results.a);
  const b = summarize(results.b);
  rows.push(
    { clients, way: '(a) in process', ...a.shown },
    { clients, way: '(b) queue', ...b.shown },
  );
  ratios[`throughput_${clients}`] = median(
    results.b.map((result, round) => result.perSecond / (results.a[round] as LoadResult).perSecond),
  );
  if (clients === 1) ratios.added_median_ms_1 = b.medianMs - a.medianMs;
  ratios.wrong = (ratios.wrong ?? 0) + a.wrong + b.wrong;
}
report('queue', rows, ratios);

inProcess.disconnect();
await service.close();
process.exit(0);

function summarize(results: readonly LoadResult[]) {
  const of = (pick: (result: LoadResult) => number) => median(results.map(pick));
  const medianMs = of((result) => result.medianMs);
  const wrong = results.reduce((sum, result) => sum + result.wrong, 0);
  return {
    medianMs,
    wrong,
    shown: {
      'requests/s': Math.round(of((result) => result.perSecond)),
      'median ms': medianMs.toFixed(2),
      'p99 ms': of((result) => result.p99Ms).toFixed(2),
      wrong,
    },
  };
}
