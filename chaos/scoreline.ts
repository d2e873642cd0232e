// Scoreline as the target: one API, several workers, and Redis behind a proxy that can be cut. API
// and workers are processes that restart when they end.

import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { findFreePort } from '../cli/redis/redis.js';
import { modelNames, prepareCatalogue } from './catalogue.js';
import { copyModels } from './models.js';
import { type CuttableProxy, openProxy } from './proxy.js';
import { pick } from './random.js';
import { openReceiver, receiverSettings } from './receiver.js';
import { openRedis, type RestartableRedis } from './redis.js';
import { keepRunning, type Role } from './role.js';
import type { Fault } from './schedule.js';
import { findLeftBehind, isHealthy } from './service.js';
import type { Target, TargetOptions } from './target.js';
import { makeTurns } from './turns.js';
import { waitUntil } from './wait.js';

/** The most memory an API process may use. It holds the bodies and pixels of requests in flight. */
const apiBytesMax = 1_000_000_000;

/**
 * Starts everything in a folder, with the output of each child in a file there. Rejects if the
 * service is not ready within 60 s.
 */
export async function startScoreline(options: TargetOptions): Promise<Target> {
  const { directory, say } = options;
  const modelsDirectory = path.join(directory, 'models');
  copyModels(modelsDirectory, modelNames);
  const { queues, ...catalogue } = await prepareCatalogue({ ...options, modelsDirectory });

  const redisDirectory = path.join(directory, 'redis');
  mkdirSync(redisDirectory);
  const redis = await openRedis(redisDirectory);
  const proxy = await openProxy(redis.port);
  const address = { host: '127.0.0.1', port: await findFreePort() };
  const receiver = await openReceiver();
  const { api, workers } = startRoles();
  const roles = [api, ...workers];

  const isReady = (withinMs: number) =>
    waitUntil(
      async () => roles.every((role) => role.isReady) && (await isHealthy(address)),
      withinMs,
    );
  if (!(await isReady(60_000))) throw new Error(`Scoreline did not start; see ${directory}.`);

  const watch = watchMemory(api);
  return {
    ...catalogue,
    ...{ address, receiver },
    faults: makeFaults({ api, workers, redis, proxy }),
    pauseWorkers() {
      const resumes = workers.map((worker) => worker.stop());
      return () => {
        for (const resume of resumes) resume();
      };
    },
    isReady,
    async findIllness() {
      const reasons = await findLeftBehind(queues, async (command, key) =>
        Number(await redis.client.call(command, key)),
      );
      if (watch.mostBytes() > apiBytesMax) {
        reasons.push(`the API used ${Math.round(watch.mostBytes() / 1e6)} MB of memory`);
      }
      return reasons;
    },
    async close() {
      watch.close();
      const inOrder = await Promise.all(roles.map((role) => role.close()));
      await proxy.close();
      await receiver.close();
      await redis.close();
      return inOrder.every(Boolean) ? [] : ['an idle process did not exit after SIGTERM'];
    },
  };

  function startRoles() {
    const environment: NodeJS.ProcessEnv = {
      ...process.env,
      REDIS_URL: `redis://127.0.0.1:${proxy.port}`,
      // With jobs, only the one that they are for: then a killed worker is back soon.
      MODELS: options.jobs === undefined ? modelNames.join(',') : modelNames[0],
      MODELS_DIR: modelsDirectory,
      LOG_LEVEL: process.env.LOG_LEVEL ?? 'info',
      PORT: String(address.port),
      ...receiverSettings(receiver),
      ...(options.jobs !== undefined && roomFor(options.jobs)),
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

function roomFor(jobs: number): Record<string, string> {
  const max = String(2 * jobs);
  return { QUEUE_ITEMS_MAX: max, RESULTS_MAX: max, WEBHOOK_PENDING_MAX: max };
}

function makeFaults(parts: {
  api: Role;
  workers: readonly Role[];
  redis: RestartableRedis;
  proxy: CuttableProxy;
}): Target['faults'] {
  const { api, workers, redis, proxy } = parts;
  const oneAtATime = makeTurns();

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
