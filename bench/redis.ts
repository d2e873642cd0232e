// `npm run bench -- redis [--bytes N,…] [--clients N,…] [--pods N] [--seconds S]
// [--share SHARE]`
//
// How many items a second one Redis carries, by the size of their inputs and by how many each API has
// unanswered. Stand-ins for APIs and workers, as many as `--pods` says of either, use Scoreline's own code
// on both sides of the queue, without HTTP and without a model (bench/redis-stand-in.ts).
//
// Redis does its work in one thread, so a core of processor time is its limit. The stand-ins spend several
// times as much, so on a machine of two cores they are busy long before Redis is. Therefore Redis gets a
// core of its own and only a share of its time: it is stopped for the rest of every 10 ms. Everything then waits for it,
// as if it had a core and served many more APIs and workers. Divided by the share, its throughput is that of a full core.

import { type ChildProcess, fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { v8Arguments } from '../cli/processes/children.js';
import { startRedis } from '../cli/redis/private-redis.js';
import { ensureRedisServer } from '../cli/redis/redis.js';
import { makeTemporary } from '../cli/temporary.js';
import { packageDirectory } from '../shared/version.js';
import { readRedisAccount, subtract } from './accounting.js';
import { readProcessorMs } from './api.js';
import { readOptions } from './options.js';
import type { StandIn } from './redis-stand-in.js';
import { report } from './report.js';
import { connectToRedis } from './service.js';

const values = readOptions({
  bytes: [256, 4096, 16384, 150528],
  clients: [1, 8, 64],
  pods: 8,
  seconds: 4,
  share: 0.15,
});
const periodMs = 10;
/** More than this in the queue takes longer than a command may, at a share of Redis' time. */
const queuedBytesMax = 16 * 1024 * 1024;
const seconds = values.seconds;
const share = values.share;
const pods = values.pods;

const directory = makeTemporary('bench');
const server = await startRedis({
  server: ensureRedisServer(console.error),
  directory,
  say: console.error,
});
const redis = await connectToRedis(server.tcpUrl);
const redisPid = Number(/^process_id:(\d+)/m.exec(await redis.info('server'))?.[1]);
pin(redisPid, '0');
const worker = await startStandIn({ role: 'worker', count: pods, inFlight: 0, bytes: 0 });

const rows = [];
for (const bytes of values.bytes) {
  for (const inFlight of values.clients) {
    if (bytes * inFlight * pods > queuedBytesMax) continue;
    rows.push(await measure(bytes, inFlight));
  }
}
const capacities = rows.map((row) => [`${row.bytes}_${row.clients}`, row['items/s a core']]);
report('redis', rows, { share, ...Object.fromEntries(capacities) });
worker.disconnect();
redis.disconnect();
await server.close();
process.exit(0);

async function measure(bytes: number, inFlight: number) {
  const api = await startStandIn({ role: 'api', count: pods, inFlight, bytes });
  const pids = [api.pid as number, worker.pid as number];
  const read = async () => ({
    account: await readRedisAccount(redis),
    standInsMs: pids.map(readProcessorMs),
    at: performance.now(),
  });
  const endShare = holdToShare();
  api.send(seconds);
  // The stand-in counts from then on.
  await delay(1000);
  const before = await read();
  const [{ perSecond }] = (await Promise.race([once(api, 'message'), endOf(api)])) as [
    { perSecond: number },
  ];
  const after = await read();
  endShare();
  api.disconnect();

  const items = perSecond * seconds;
  const spent = subtract(after.account, before.account);
  const each = (amount: number) => amount / items;
  const [apiUs, workerUs] = pids.map((_, index) =>
    each(1000 * ((after.standInsMs[index] as number) - (before.standInsMs[index] as number))),
  ) as [number, number];
  const ofCore = spent.processorUs / 1000 / (after.at - before.at);
  return {
    bytes,
    clients: inFlight,
    'items/s': Math.round(perSecond),
    'of a core': ofCore.toFixed(2),
    'items a job': Number((items / spent.jobs).toPrecision(3)),
    'Redis µs': Number(each(spent.processorUs).toPrecision(3)),
    'API µs': Math.round(apiUs),
    'worker µs': Math.round(workerUs),
    'kB in': Number((each(spent.bytesIn) / 1000).toPrecision(3)),
    'kB out': Number((each(spent.bytesOut) / 1000).toPrecision(3)),
    'items/s a core': Math.round(items / (spent.processorUs / 1e6)),
  };
}

/** Lets Redis run for its share of each period, until the returned function is called. */
function holdToShare(): () => void {
  let isHeld = share < 1;
  const hold = async () => {
    while (isHeld) {
      process.kill(redisPid, 'SIGSTOP');
      await delay(periodMs * (1 - share));
      process.kill(redisPid, 'SIGCONT');
      await delay(periodMs * share);
    }
  };
  void hold();
  return () => {
    isHeld = false;
  };
}

async function startStandIn(options: Omit<StandIn, 'redisUrl' | 'modelsDirectory'>) {
  const modelsDirectory = path.join(packageDirectory(), 'models');
  const standIn: StandIn = { ...options, redisUrl: server.tcpUrl, modelsDirectory };
  const child: ChildProcess = fork(
    new URL('./redis-stand-in.js', import.meta.url),
    [JSON.stringify(standIn)],
    { execArgv: v8Arguments },
  );
  await Promise.race([once(child, 'message'), endOf(child)]);
  pin(child.pid as number, `1-${os.availableParallelism() - 1}`);
  return child;
}

/** Rejects when a stand-in ends, which it does only after a failure that it has printed. */
async function endOf(child: ChildProcess): Promise<never> {
  await once(child, 'exit');
  throw new Error('A stand-in has ended.');
}

/** Keeps all threads of a process on these cores. Does nothing without `taskset`, or with one core. */
function pin(pid: number, cores: string): void {
  if (os.availableParallelism() > 1) spawnSync('taskset', ['-acp', cores, String(pid)]);
}
