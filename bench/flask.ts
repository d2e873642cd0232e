// `npm run bench -- flask [--seconds S] [--rounds R]`
//
// Compares the reference's way of serving with Scoreline, at 64 clients. The reference is Flask
// under gunicorn, with one worker per core and the same scikit-learn pipeline. Scoreline has one
// API and one worker process. They take turns in one run. Both answer `POST /score` with all
// questions.

import { spawn } from 'node:child_process';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { findFreePort } from '../cli/redis/redis.js';
import { packageDirectory } from '../shared/version.js';
import { type Load, type LoadResult, median, runLoad } from './load.js';
import { readOptions } from './options.js';
import { readQuestionBodies } from './questions.js';
import { report } from './report.js';
import { startBenchService } from './service.js';

const values = readOptions({
  seconds: 5,
  rounds: 5,
  clients: 64,
});
const root = packageDirectory();
const flask = await startFlask();
const service = await startBenchService({
  models: 'faq-matcher',
  modelsDirectory: path.join(root, 'models'),
});

const bodies = readQuestionBodies();
const isRight: Load['isRight'] = (answer) => answer.includes('"Computed in ');
const measure = (url: string, seconds: number) =>
  runLoad({ url: `${url}/score`, clients: values.clients, seconds, bodies, isRight });

await measure(flask.url, 2);
// V8 keeps compiling for some seconds, on the cores we measure.
await measure(service.url, 8);
const results: { flask: LoadResult; scoreline: LoadResult }[] = [];
for (let round = 0; round < values.rounds; round++) {
  results.push({
    flask: await measure(flask.url, values.seconds),
    scoreline: await measure(service.url, values.seconds),
  });
}
const rows = (['flask', 'scoreline'] as const).map((way) => ({
  way: way === 'flask' ? `Flask, gunicorn, ${os.availableParallelism()} workers` : 'Scoreline',
  'requests/s': Math.round(median(results.map((result) => result[way].perSecond))),
  'median ms': median(results.map((result) => result[way].medianMs)).toFixed(1),
  'p99 ms': median(results.map((result) => result[way].p99Ms)).toFixed(1),
  wrong: results.reduce((sum, result) => sum + result[way].wrong, 0),
}));
report('flask', rows, {
  throughput: median(results.map((result) => result.scoreline.perSecond / result.flask.perSecond)),
  p99: median(results.map((result) => result.scoreline.p99Ms / result.flask.p99Ms)),
  wrong: results.reduce((sum, result) => sum + result.flask.wrong + result.scoreline.wrong, 0),
});

await service.close();
flask.close();
process.exit(0);

/** Starts gunicorn and waits until it answers. Installs its packages if they are missing. */
async function startFlask() {
  const port = await findFreePort();
  const parameters = [String(port), String(os.availableParallelism())];
  const child = spawn(
    process.execPath,
    ['dist/cli/python.js', 'bench/flask/requirements.txt', 'bench/flask/serve.py', ...parameters],
    { cwd: root, detached: true, stdio: ['ignore', 'ignore', 'inherit'] },
  );
  const close = () => process.kill(-(child.pid as number), 'SIGTERM');
  const url = `http://127.0.0.1:${port}`;
  while (
    !(await fetch(url).then(
      (answer) => answer.ok,
      () => false,
    ))
  ) {
    if (child.exitCode !== null) throw new Error('Flask did not start. See its output above.');
    await delay(200);
  }
  return { url, close };
}
