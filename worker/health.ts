// The health of a worker, which its probes answer with (probes.ts).
//
// A worker is *loading* until all its models are warm or left out, then *ready*. If only programs still load, it
// serves its other models meanwhile. It is *away* while Redis cannot be reached, *draining* after SIGTERM, and *stuck*
// if it holds a job for longer than deadline, run and load allow. Only a stuck worker should be killed from outside.
// All other faults either pass or end the process.

import type { RedisClock } from '../shared/redis/clock.js';
import { explain, type Redis } from '../shared/redis/redis.js';
import type { EngineDevice } from './engine/engine.js';
import type { Place } from './place.js';

export const statuses = ['loading', 'ready', 'away', 'draining', 'stuck'] as const;
export type Status = (typeof statuses)[number];

export interface Health {
  readonly status: Status;
  /** Why the worker is not ready, and what to do about it. */
  readonly reason?: string;
  /** A fault that should be mended, although the worker can work. */
  readonly warning?: string;
  readonly models: readonly ModelHealth[];
}

export interface ModelHealth {
  readonly name: string;
  readonly version: string;
  /** How long the oldest job of the model has been held; 0 if none is held. */
  readonly heldMs: number;
  /** The device that the model runs on, once it is loaded. */
  readonly device?: EngineDevice['type'];
  /** Why that is its fallback, and what to do about it. */
  readonly reason?: string;
}

type Places = () => readonly Pick<Place, 'model' | 'device' | 'heldMs' | 'heldMsMax'>[];

export class WorkerHealth {
  #phase: 'loading' | 'open' | 'draining' = 'loading';
  #places: Places = () => [];
  #redis: Pick<Redis, 'status'> | undefined;
  #clock: Pick<RedisClock, 'warning'> | undefined;
  /** Why the last attempt to connect failed. */
  #failure: Error | undefined;
  /** By the clock of `performance`; undefined while there is no connection. */
  #connectedAt: number | undefined;

  /** Includes the models. */
  watchPlaces(places: Places): void {
    this.#places = places;
  }

  /** Includes the connection to Redis. */
  watchRedis(redis: Pick<Redis, 'status' | 'on'>): void {
    this.#redis = redis;
    const note = () => {
      this.#connectedAt = redis.status === 'ready' ? performance.now() : undefined;
      if (redis.status === 'ready') this.#failure = undefined;
    };
    note();
    redis.on('ready', note).on('close', note);
    redis.on('error', (error: Error) => {
      this.#failure = error;
    });
  }

  /** Includes the clock of the machine. */
  watchClock(clock: Pick<RedisClock, 'warning'>): void {
    this.#clock = clock;
  }

  /** Notes that all models are warm or left out, and their queues open. */
  open(): void {
    if (this.#phase === 'loading') this.#phase = 'open';
  }

  /** Notes that the worker takes no more jobs. */
  drain(): void {
    this.#phase = 'draining';
  }

  read(): Health {
    const models = this.#places().map(({ model, device, heldMs }) => {
      const { name, version } = model;
      const { type, reason } = device() ?? {};
      return {
        name,
        version,
        heldMs: Math.round(heldMs()),
        ...(type && { device: type }),
        ...(reason && { reason }),
      };
    });
    const stuck = this.#whyStuck();
    if (stuck !== undefined) return { status: 'stuck', reason: stuck, models };
    if (this.#phase === 'draining') {
      return { status: 'draining', reason: 'The worker finishes the jobs it holds.', models };
    }
    if (this.#redis && this.#connectedAt === undefined) {
      return { status: 'away', reason: this.#whyAway(), models };
    }
    if (this.#phase === 'loading') {
      return { status: 'loading', reason: 'The worker loads its models.', models };
    }
    const warning = this.#clock?.warning;
    return { status: 'ready', ...(warning !== undefined && { warning }), models };
  }

  /** Redis can also be there and refuse us, such as with another password. */
  #whyAway(): string {
    if (!this.#failure)
      return 'Redis cannot be reached. Check that it runs, the network, and REDIS_URL.';
    const { reason, advice } = explain(this.#failure);
    return `Redis cannot be used: ${reason}. ${advice}`;
  }

  /** Replies cannot be sent without Redis, so only the time with a connection counts. */
  #whyStuck(): string | undefined {
    if (this.#connectedAt === undefined) return undefined;
    const connectedMs = performance.now() - this.#connectedAt;
    for (const { model, heldMs, heldMsMax } of this.#places()) {
      const ms = Math.min(heldMs(), connectedMs);
      if (ms > heldMsMax()) {
        return `A job of ${model.name} has been held for ${Math.round(ms)} ms; expected at most ${heldMsMax()} ms. Restart this worker.`;
      }
    }
    return undefined;
  }
}
