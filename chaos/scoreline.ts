// Scoreline as the target: one API, several workers, and Redis behind a proxy that can be cut. API
// and workers are processes that restart when they end.

import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { findFreePort } from '../cli/redis.js';
import { findModel, readModels } from '../shared/models.js';
import { prepareInputs, preparePoison, scoreTolerance } from './inputs.js';
import type { AnswerForm } from './judge.js';
import { copyModels } from './models.js';
import { type CuttableProxy, openProxy } from './proxy.js';
import { pick } from './random.js';
import { openRedis, type RestartableRedis } from './redis.js';
import { keepRunning, type Role } from './role.js';
import type { Fault } from './schedule.js';
import type { Input, Target } from './target.js';
import { delay, waitUntil } from './wait.js';

const names = ['faq-matcher', 'efficientnet-lite0'];
const emptyWithinMs = 10_000;
/** The most memory an API process may use. It holds the bodies and pixels of requests in flight. */
const apiBytesMax = 1_000_000_000;

/**
 * Starts everything in a folder, with the output of each child in a file there. Rejects if the
 * service is not ready within 60 s.
 */
export async function startScoreline(options: {
  directory: string;
  workers: number;
  deadlineMs: number;
  say: (line: string) => void;
}): Promise<Target> {
  const { directory, say } = options;
  const modelsDirectory = path.join(directory, 'models');
  copyModels(modelsDirectory, names);
  const models = readModels({ directory: modelsDirectory, names, filesNeeded: true });
  const inputs = new Map<string, readonly Input[]>();
  for (const model of models) {
    inputs.set(model.name, await prepareInputs(model, options.deadlineMs));
  }

  const redisDirectory = path.join(directory, 'redis');
  mkdirSync(redisDirectory);
  const redis = await openRedis(redisDirectory);
  const proxy = await openProxy(redis.port);
  const port = await findFreePort();
  const { api, workers } = startRoles({ ...options, modelsDirectory, proxy, port });
  const roles = [api, ...workers];

  const isReady = (withinMs: number) =>
    waitUntil(async () => roles.every((role) => role.isReady) && (await isHealthy(port)), withinMs);
  if (!(await isReady(60_000))) throw new Error(`Scoreline did not start; see ${directory}.`);

  const watch = watchMemory(api);
  const nativeForm = makeNativeForm();
  return {
    port,
    models: names,
    inputsOf: (model) => inputs.get(model) ?? [],
    poison: (kind, model, tag) => preparePoison(findModel(models, model), kind, tag),
    formOf: () => nativeForm,
    faults: makeFaults({ api, workers, redis, proxy }),
    isReady,
    async findIllness() {
      const queues = models.map((model) => model.queue);
      const reasons = await findLeftBehind(redis, queues);
      if (watch.mostBytes() > apiBytesMax) {
        reasons.push(`the API used ${Math.round(watch.mostBytes() / 1e6)} MB of memory`);
      }
      return reasons;
    },
    async close() {
      watch.close();
      const inOrder = await Promise.all(roles.map((role) => role.close()));
      await proxy.close();
      await redis.close();
      return inOrder.every(Boolean) ? [] : ['an idle process did not exit after SIGTERM'];
    },
  };

  function startRoles(given: { modelsDirectory: string; proxy: CuttableProxy; port: number }) {
    const environment: NodeJS.ProcessEnv = {
      ...process.env,
      REDIS_URL: `redis://127.0.0.1:${given.proxy.port}`,
      MODELS: names.join(','),
      MODELS_DIR: given.modelsDirectory,
      LOG_LEVEL: process.env.LOG_LEVEL ?? 'info',
      PORT: String(given.port),
    };
    const preload = `--import ${new URL('./fault.js', import.meta.url).href}`;
    const pipe = path.join(directory, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const poisonable = {
      ...environment,
      CHAOS_PIPE: pipe,
      NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} ${preload}`.trim(),
    };
    const start = (role: 'api' | 'worker', number: number) =>
      keepRunning({
        role,
        environment: role === 'worker' ? poisonable : environment,
        logFile: path.join(directory, `${role}-${number}.log`),
        onUnexpectedEnd: say,
      });
    return {
      api: start('api', 1),
      workers: Array.from({ length: options.workers }, (_, index) => start('worker', index + 1)),
    };
  }
}

function makeFaults(parts: {
  api: Role;
  workers: readonly Role[];
  redis: RestartableRedis;
  proxy: CuttableProxy;
}): Target['faults'] {
  const { api, workers, redis, proxy } = parts;
  const oneAtATime = makeQueue();

  const end = (signal: NodeJS.Signals) => async (fault: Fault) => {
    const worker = pick(workers, fault.victim);
    const { pid } = worker;
    if (worker.signal(signal)) await worker.isReadyAgain(pid);
  };

  return {
    kill: end('SIGKILL'),
    term: end('SIGTERM'),
    async stop(fault) {
      const goOn = pick(workers, fault.victim).stop();
      await delay(fault.forMs);
      goOn();
    },
    'redis-restart': () => oneAtATime(() => redis.restart('SIGTERM')),
    'redis-kill': () => oneAtATime(() => redis.restart('SIGKILL')),
    'redis-cut': (fault) =>
      oneAtATime(async () => {
        const mend = await proxy.cut(fault.cut);
        await delay(fault.forMs);
        await mend();
      }),
    'api-restart': () => api.replace(),
  };
}

/** Runs the given functions one after the other. */
function makeQueue(): (run: () => Promise<void>) => Promise<void> {
  let last: Promise<void> = Promise.resolve();
  return (run) => {
    last = last.then(run);
    return last;
  };
}

/** Reads the answers of the native route, and checks that no two have the same id. */
function makeNativeForm(): AnswerForm {
  const ids = new Set<string>();
  return {
    tolerance: scoreTolerance,
    connectionLossIsRefusal: true,
    read(body) {
      const { id, predictions } = JSON.parse(body);
      if (typeof id !== 'string' || ids.has(id)) throw new Error(`the id ${id} came twice`);
      ids.add(id);
      return predictions.map(({ label, score }: { label: string; score: number }) => [
        label,
        score,
      ]);
    },
  };
}

async function isHealthy(port: number): Promise<boolean> {
  const answer = await fetch(`http://127.0.0.1:${port}/v2/health/ready`, {
    headers: { connection: 'close' },
    signal: AbortSignal.timeout(2000),
  }).catch(() => undefined);
  await answer?.arrayBuffer();
  return answer?.status === 200;
}

/**
 * Waits up to 10 s for the queues to empty, and returns what is left. Jobs that stay in the queue
 * after the load would keep workers alive for ever.
 */
async function findLeftBehind(redis: RestartableRedis, queues: readonly string[]) {
  const keys = queues.flatMap((queue) =>
    [
      ['wait', 'llen'],
      ['active', 'llen'],
      ['prioritized', 'zcard'],
      ['delayed', 'zcard'],
    ].map(([list, command]) => ({ key: `scoreline:${queue}:${list}`, command })),
  );
  const count = async () => {
    const counts = await Promise.all(
      keys.map(({ key, command }) => redis.client.call(command as string, key)),
    );
    return keys
      .map(({ key }, index) => `${counts[index]} jobs are left in ${key}`)
      .filter((_, index) => counts[index] !== 0);
  };
  await waitUntil(async () => (await count()).length === 0, emptyWithinMs);
  return count();
}

/** Samples the memory of the API every half second and keeps the maximum. Works on Linux only. */
function watchMemory(api: Role) {
  let most = 0;
  const timer = setInterval(() => {
    try {
      const pages = readFileSync(`/proc/${api.pid}/statm`, 'utf8').split(' ')[1];
      most = Math.max(most, Number(pages) * 4096);
    } catch {}
  }, 500);
  return { mostBytes: () => most, close: () => clearInterval(timer) };
}
