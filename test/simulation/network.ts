// Between processes and Redis: a command takes a step to get there and one to come back, and in
// which order steps happen is the scheduler's choice. A process that has died hears nothing.

import type { Scheduler } from 'fast-check';
import type { Redis } from './redis.js';

export interface Process {
  readonly name: string;
  isAlive: boolean;
}

export function makeNetwork(scheduler: Scheduler, redis: Redis) {
  /** Something that happens some time. */
  const step = (what: string): Promise<void> => scheduler.schedule(Promise.resolve(), what);

  /** As `step`, for a process; one that has died never gets there. */
  const stepOf = async (process: Process, what: string): Promise<void> => {
    if (process.isAlive) await step(`${process.name}: ${what}`);
    if (!process.isAlive) await neverAgain();
  };

  return {
    step,
    stepOf,

    /** A command that fails when Redis is away, or its answer is lost. */
    async produce<T>(process: Process, what: string, execute: () => T): Promise<T> {
      await stepOf(process, what);
      if (!redis.isUp) throw new Error('Redis is away.');
      const { connection } = redis;
      const answer = attempt(execute);
      await stepOf(process, `${what}, answer`);
      if (redis.connection !== connection) throw new Error('The connection is lost.');
      return answer();
    },

    /** A command that waits for Redis, and is sent again when its answer is lost. */
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
          // Sent again all the same.
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
