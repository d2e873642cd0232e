// The mutated requests of a run: clients that draw, send and judge them.

import { setTimeout as delay } from 'node:timers/promises';
import type { Arbitrary } from 'fast-check';
import { runClient } from './client.js';
import type { Shot } from './draft.js';
import { type Exchange, makeSender } from './exchange.js';
import type { Failures } from './failures.js';
import { makeFindFault } from './judge.js';
import type { FuzzService } from './service.js';
import { Tally } from './tally.js';

export interface MutatedLoad {
  readonly tally: Tally;
  /** Sends requests until there were this many in all, or the time is over. Then nothing is in flight. */
  sendUntil(count: number): Promise<void>;
}

const pauseMs = 1000;

export function makeMutatedLoad(options: {
  service: Pick<FuzzService, 'address' | 'callers'>;
  shots: Arbitrary<Shot>;
  seed: number;
  clients: number;
  isTimeOver: () => boolean;
  failures: Failures;
}): MutatedLoad {
  const { shots, failures, isTimeOver } = options;
  const { address, callers } = options.service;
  const findFault = makeFindFault(callers);
  const tally = new Tally();

  const run = async (seed: number, isOver: () => boolean) => {
    const sender = makeSender(address);
    const attempt = async (shot: Shot) => {
      let exchange = await sender.send(shot);
      if (isLate(exchange)) {
        await delay(pauseMs);
        exchange = await sender.send(shot);
      }
      tally.count(shot.kind, exchange);
      return findFault(shot, exchange);
    };
    await runClient({ shots, seed, isOver, attempt, failures });
    sender.close();
  };

  return {
    tally,
    async sendUntil(count) {
      const isOver = () => tally.sent >= count || isTimeOver();
      // Each round of each client, before and after the warm-up, has a seed of its own.
      const seeds = Array.from(
        { length: options.clients },
        (_, index) => options.seed * 1_000_003 + count + index * 10_007,
      );
      await Promise.all(seeds.map((seed) => run(seed, isOver)));
      await delay(pauseMs);
    },
  };
}

/**
 * Whether Redis was late, as on a machine with other work, and the answer says to ask again. If it was the
 * request that made it late, it is late again. An answer to HEAD has no body.
 */
function isLate({ answers }: Exchange): boolean {
  return answers.some(
    ({ status, body }) => status === 503 && (body === '' || body.includes('queue_unavailable')),
  );
}
