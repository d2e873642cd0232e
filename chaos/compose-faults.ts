// The faults of containers: killed, paused, restarted, cut off, scaled to none.
//
// Faults overlap, so one may find that another was there first: a container that is gone cannot be
// started again. Such a step is passed over. At the end every container must be there and well.

import { setTimeout as delay } from 'node:timers/promises';
import type { Compose } from '../cli/docker/compose.js';
import { docker } from '../cli/docker/docker.js';
import { isGone, isWell, lookEveryMs, type Service, stopSeconds } from './containers.js';
import { pick } from './random.js';
import type { Fault } from './schedule.js';
import type { Target } from './target.js';
import { makeTurns } from './turns.js';
import { waitUntil } from './wait.js';

const recoversWithinMs = 60_000;

export function makeComposeFaults(parts: {
  compose: Compose;
  network: string;
  workers: number;
  say: (line: string) => void;
}): Target['faults'] {
  const { compose, network, say } = parts;
  const turns = { redis: makeTurns(), api: makeTurns(), scale: makeTurns() };

  const attempt = async (...parameters: string[]) => {
    await docker(...parameters).catch((error) => {
      if (!isTooLate.test(error.message)) say(error.message);
    });
  };
  /** Does something to a container of a service, and waits until the container is well again. */
  const toOne = (service: Service, happen: (id: string, fault: Fault) => Promise<void>) => {
    return async (fault: Fault) => {
      const ids = await compose.containersOf(service);
      if (ids.length === 0) return;
      const id = pick(ids, fault.victim);
      await happen(id, fault);
      const isWellOrGone = async () => (await isWell(service, id)) || (await isGone(id));
      await waitUntil(isWellOrGone, recoversWithinMs, lookEveryMs);
    };
  };
  // No engine restarts a container that was killed by hand, so this stands in for an orchestrator.
  const kill = async (id: string) => {
    await attempt('kill', id);
    await attempt('start', id);
  };
  const restart = (id: string) => attempt('restart', '-t', stopSeconds, id);
  const cutOff = (service: Service) =>
    toOne(service, async (id, { forMs }) => {
      await attempt('network', 'disconnect', network, id);
      await delay(forMs);
      await attempt('network', 'connect', '--alias', service, network, id);
    });
  const scaleTo = (workers: number) =>
    compose
      .run(
        ...['up', '--detach', '--no-deps', '--no-recreate', '--no-build'],
        ...['--scale', `worker=${workers}`, 'worker'],
      )
      .catch((error) => say(error.message));

  const redisRestart = toOne('redis', restart);
  const redisKill = toOne('redis', kill);
  const redisCut = cutOff('redis');
  const apiRestart = toOne('api', restart);
  const apiCut = cutOff('api');
  return {
    kill: toOne('worker', kill),
    term: toOne('worker', restart),
    stop: toOne('worker', async (id, { forMs }) => {
      await attempt('pause', id);
      await delay(forMs);
      await attempt('unpause', id);
    }),
    'worker-cut': cutOff('worker'),
    'no-workers': ({ forMs }) =>
      turns.scale(async () => {
        await scaleTo(0);
        await delay(forMs);
        await scaleTo(parts.workers);
      }),
    'redis-restart': (fault) => turns.redis(() => redisRestart(fault)),
    'redis-kill': (fault) => turns.redis(() => redisKill(fault)),
    'redis-cut': (fault) => turns.redis(() => redisCut(fault)),
    'api-restart': (fault) => turns.api(() => apiRestart(fault)),
    'api-cut': (fault) => turns.api(() => apiCut(fault)),
  };
}

/** What Docker says when another fault was there first. */
const isTooLate = /no such container|is not running|is (not|already) paused|is not connected to/i;
