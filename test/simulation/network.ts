// The network between processes and Redis. A command takes one step to Redis, and its answer takes one
// step back. The scheduler chooses the order of steps. A dead process gets no answers.

import type { Scheduler } from 'fast-check';
import type { Redis } from './redis.js';

export interface Process {
  readonly name: string;
  isAlive: boolean;
}

export function makeNetwork(scheduler: Scheduler, redis: Redis) {
  /** Waits for the scheduler to choose this step. */
  const step = (what: string): Promise<void> => scheduler.schedule(Promise.resolve(), what);

  /** Waits for a step of a process. Never resolves if the process dies. */
  const stepOf = async (process: Process, what: string): Promise<void> => {
    if (process.isAlive) await step(`${process.name}: ${what}`);
    if (!process.isAlive) await neverAgain();
  };

  return {
    step,
    stepOf,

    /** Runs a command that fails if Redis is unreachable or the answer is lost. */
    async produce<T>(process: Process, what: string, execute: () => T): Promise<T> {
      await stepOf(process, what);
      if (!redis.isUp) throw new Error('Redis is away.');
      const { connection } = redis;
      const answer = attempt(execute);
      await stepOf(process, `${what}, answer`);
      if (redis.connection !== connection) throw new Error('The connection is lost.');
      return answer();
    },

    /** Runs a command that waits for Redis, and is sent again if its answer is lost. */
    async consume<T>(
      process: Process,
      what: string,
      execute: () => T,
      onLost: (answer: T) => void = () => {},
    ): Promise<T> {
      for (;;) {
        await stepOf(process, what);
        while (!redis.isUp) await redis.change();
        if (!process.isAlive) return neverAgain();
        const { connection } = redis;
        const answer = attempt(execute);
        await stepOf(process, `${what}, answer`);
        if (redis.connection === connection) return answer();
        try {
          onLost(answer());
        } catch {
          // The connection sends it again even if it may have run.
        }
      }
    },
  };
}

function attempt<T>(execute: () => T): () => T {
  try {
    const value = execute();
    return () => value;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}

export function neverAgain(): Promise<never> {
  return new Promise(() => {});
}
