// Feeds a queue as an API under load does, and counts what is answered.

import { randomUUID } from 'node:crypto';
import { Ending } from '../api/call/ending.js';
import { nowMs } from '../shared/clock.js';
import type { Model } from '../shared/registry/models.js';
import type { Tensor } from '../shared/tensors/tensors.js';
import { openQueueClient } from './queue-client.js';

export interface Feeder {
  /** Returns items per second. Counting starts after a second, when the queue is full. */
  run(seconds: number): Promise<number>;
  close(): Promise<void>;
}

/** Makes a feeder that always has `inFlight` items unanswered while it runs. */
export async function makeFeeder(options: {
  model: Model;
  redisUrl: string;
  inFlight: number;
  inputs: readonly Tensor[];
}): Promise<Feeder> {
  const { model, redisUrl, inFlight, inputs } = options;
  const { dispatcher, close } = await openQueueClient(model, redisUrl);
  const ending = new Ending();
  const scoreOne = () => {
    const items = [{ id: randomUUID(), inputs }];
    const deadlineAt = nowMs() + 120_000;
    return dispatcher.submit({
      model,
      priority: 'interactive',
      top: 3,
      deadlineAt,
      ending,
      items,
    })[0];
  };

  return {
    run: async (runSeconds: number) => {
      const from = performance.now() + 1000;
      const until = from + runSeconds * 1000;
      let done = 0;
      await Promise.all(
        Array.from({ length: inFlight }, async () => {
          while (performance.now() < until) {
            await scoreOne();
            const now = performance.now();
            if (now >= from && now < until) done++;
          }
        }),
      );
      return done / runSeconds;
    },
    close,
  };
}
