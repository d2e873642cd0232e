// The service of a fuzz run: a Redis, an API that asks for keys, and a worker, each a real process. API and
// worker would be restarted if they ended, but a run counts that as a failure.

import { mkdirSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import type { Address } from '../chaos/client.js';
import { openRedis } from '../chaos/redis.js';
import { keepRunning, type Role } from '../chaos/role.js';
import { findLeftBehind, isHealthy } from '../chaos/service.js';
import { waitUntil } from '../chaos/wait.js';
import { findFreePort } from '../cli/redis/redis.js';
import { makeKeys } from '../shared/redis/keys.js';
import { packageDirectory } from '../shared/version.js';
import { type Callers, makeCallers } from './callers.js';
import { findLogFaults } from './logs.js';

export interface FuzzService {
  readonly address: Address;
  readonly callers: Callers;
  readonly roles: Readonly<Record<'api' | 'worker', Role>>;
  /** Says what is wrong after the load, apart from memory and descriptors. */
  findIllness(queues: readonly string[]): Promise<string[]>;
  /** Returns what did not stop properly. */
  close(): Promise<string[]>;
}

export const modelsDirectory = path.join(packageDirectory(), 'models');
const startsWithinMs = 60_000;
const keys = makeKeys('scoreline');

/** Starts everything in a folder. Rejects if the service is not ready within 60 s. */
export async function startFuzzService(
  directory: string,
  models: readonly string[],
): Promise<FuzzService> {
  const redisDirectory = path.join(directory, 'redis');
  mkdirSync(redisDirectory);
  const redis = await openRedis(redisDirectory);
  const callers = await makeCallers(redis.client);
  const address = { host: '127.0.0.1', port: await findFreePort() };
  const unexpectedEnds: string[] = [];
  const environment = makeEnvironment({ address, models, redisPort: redis.port });
  const logOf = (role: string) => path.join(directory, `${role}.log`);
  const start = (role: 'api' | 'worker') =>
    keepRunning({
      role,
      environment,
      logFile: logOf(role),
      onUnexpectedEnd: (line) => unexpectedEnds.push(line),
    });
  const roles = { api: start('api'), worker: start('worker') };
  const isReady = () =>
    waitUntil(
      async () => Object.values(roles).every((role) => role.isReady) && (await isHealthy(address)),
      startsWithinMs,
    );
  if (!(await isReady())) throw new Error(`Scoreline did not start; see ${directory}.`);

  return {
    address,
    callers,
    roles,
    async findIllness(queues) {
      const left = await findLeftBehind(queues, async (command, key) =>
        Number(await redis.client.call(command, key)),
      );
      const unanswered = await Promise.all(
        queues.map(
          async (queue) => [queue, await redis.client.zcard(keys.unanswered(queue))] as const,
        ),
      );
      return [
        ...unexpectedEnds,
        ...left,
        ...unanswered
          .filter(([, count]) => count > 0)
          .map(([queue, count]) => `${count} items of ${queue} are unanswered`),
        ...((await isReady()) ? [] : ['the service is not ready']),
        ...(await findLogFaults([logOf('api'), logOf('worker')], Object.values(callers))),
      ];
    },
    async close() {
      const inOrder = await Promise.all(Object.values(roles).map((role) => role.close()));
      await redis.close();
      return inOrder.every(Boolean) ? [] : ['an idle process did not exit after SIGTERM'];
    },
  };
}

function makeEnvironment({
  address,
  models,
  redisPort,
}: {
  address: Address;
  models: readonly string[];
  redisPort: number;
}): NodeJS.ProcessEnv {
  return {
    ...process.env,
    REDIS_URL: `redis://127.0.0.1:${redisPort}`,
    MODELS: models.join(','),
    MODELS_DIR: modelsDirectory,
    HOST: address.host,
    PORT: String(address.port),
    AUTH: 'keys',
    // Each answer is logged, so what requests hold can try to get into the log.
    LOG_LEVEL: 'debug',
    // Clients that do not finish their request are told so within seconds.
    HEADERS_MS_MAX: '1000',
    REQUEST_MS_MAX: '2000',
  };
}
