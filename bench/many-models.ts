// `npm run bench -- many-models [--models N,N,…] [--clients N] [--seconds S]`
//
// What many models in one worker cost, while nobody asks and under load. For each number of models it starts a service
// with copies of the included table. The clients are spread over the models.

import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { dump } from 'js-yaml';
import { makeTemporary } from '../cli/temporary.js';
import { readManifest } from '../shared/manifest/file.js';
import { packageDirectory } from '../shared/version.js';
import { readProcessorMs } from './api.js';
import { isRanked, runLoad } from './load.js';
import { readProcessMegabytes } from './memory.js';
import { readOptions } from './options.js';
import { report } from './report.js';
import { type BenchService, connectToRedis, startBenchService } from './service.js';

const values = readOptions({
  models: [1, 10, 100],
  clients: 64,
  seconds: 6,
});
const original = path.join(packageDirectory(), 'models/breast-cancer');
const { example } = readManifest(original);
if (!example || !('input' in example)) throw new Error('The included table has no example.');
const bodies = [JSON.stringify({ input: example.input })];
/** A service reads its models a second time soon after its start. */
const settleMs = 25_000;
const idleMs = 20_000;

const rows: Record<string, number>[] = [];
for (const count of values.models) rows.push(await measure(count));
const [first] = rows as [Record<string, number>];
report('many-models', rows, {
  ...Object.fromEntries(
    rows.map((row) => [
      `throughput_${row.models}`,
      Number(row['requests/s']) / Number(first['requests/s']),
    ]),
  ),
  wrong: rows.reduce((sum, row) => sum + Number(row.wrong), 0),
});
process.exit(0);

async function measure(count: number): Promise<Record<string, number>> {
  const modelsDirectory = makeTemporary('models');
  const names = Array.from({ length: count }, (_, at) => `table-${at + 1}`);
  for (const name of names) copyModel(modelsDirectory, name);
  const startedAt = performance.now();
  const service = await startBenchService({ models: names.join(), modelsDirectory });
  const seconds = (performance.now() - startedAt) / 1000;
  const idle = await readIdle(service);
  await load(service, names, 3);
  const loaded = await load(service, names, values.seconds);
  await service.close();
  return { models: count, 'ready s': round(seconds), ...idle, ...loaded };
}

function copyModel(directory: string, name: string): void {
  const folder = path.join(directory, name);
  mkdirSync(folder);
  for (const entry of readdirSync(original)) {
    if (entry !== 'model.yaml') symlinkSync(path.join(original, entry), path.join(folder, entry));
  }
  const text = readFileSync(path.join(original, 'model.yaml'), 'utf8');
  writeFileSync(
    path.join(folder, 'model.yaml'),
    text.replace(/^name: .*$/m, dump({ name }).trim()),
  );
}

/** What the processes take while nobody asks: memory, and the share of a core. */
async function readIdle(service: BenchService): Promise<Record<string, number>> {
  const redis = await connectToRedis(service.redisUrl);
  const redisPid = Number(/process_id:(\d+)/.exec(await redis.info('server'))?.[1]);
  redis.disconnect();
  const pids = { worker: service.workers[0]?.pid, API: service.apis[0]?.pid, Redis: redisPid };
  await delay(settleMs);
  const idle: Record<string, number> = {};
  for (const [role, pid] of Object.entries(pids)) {
    idle[`${role} MB`] = Math.round(await readProcessMegabytes([Number(pid)]));
  }
  const before = Object.values(pids).map((pid) => readProcessorMs(Number(pid)));
  await delay(idleMs);
  for (const [at, [role, pid]] of Object.entries(pids).entries()) {
    idle[`${role} %`] = round((100 * (readProcessorMs(Number(pid)) - Number(before[at]))) / idleMs);
  }
  return idle;
}

/** Spreads the clients over the models, at least one for each model that is asked. */
async function load({ url }: BenchService, names: readonly string[], seconds: number) {
  const clients = values.clients;
  const asked = names.slice(0, clients);
  const results = await Promise.all(
    asked.map((name, at) =>
      runLoad({
        url: `${url}/v1/models/${name}/score`,
        clients: Math.floor((clients + at) / asked.length),
        ...{ seconds, bodies, isRight: isRanked },
      }),
    ),
  );
  const sum = (of: (result: (typeof results)[number]) => number) =>
    results.reduce((total, result) => total + of(result), 0);
  return {
    'requests/s': Math.round(sum(({ perSecond }) => perSecond)),
    wrong: sum(({ wrong }) => wrong),
  };
}

function round(value: number): number {
  return Number(value.toFixed(1));
}
