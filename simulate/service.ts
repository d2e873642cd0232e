// The service: one queue, and workers that take batches from it. An idle worker takes what waits at once,
// up to the largest batch.

import type { BatchTime } from './batch-time.js';
import type { Events } from './events.js';
import type { Node } from './pool.js';
import type { Item, Queue } from './queue.js';
import type { Worker, Workers } from './workers.js';

/** From the loss of a worker until another takes its job: the longest that was measured. */
const redeliveryMs = 1600;

export interface ServiceOptions {
  readonly events: Events;
  readonly queue: Queue;
  readonly workers: Workers;
  readonly batchTime: BatchTime;
}

interface Run {
  readonly batch: readonly Item[];
  readonly sinceMs: number;
}

export class Service {
  readonly #options: ServiceOptions;
  readonly #runs = new Map<Worker, Run>();
  #busyMs = 0;

  constructor(options: ServiceOptions) {
    this.#options = options;
  }

  /** The time for which workers have scored so far. */
  get busyMs(): number {
    const { nowMs } = this.#options.events;
    return [...this.#runs.values()].reduce((sum, run) => sum + nowMs - run.sinceMs, this.#busyMs);
  }

  arrive(): void {
    this.#options.queue.arrive();
    this.dispatch();
  }

  /** Gives batches to idle workers. */
  dispatch(): void {
    const { queue, workers } = this.#options;
    while (!queue.isEmpty) {
      const worker = workers.findIdle();
      if (!worker) return;
      this.#run(worker, queue.take());
    }
  }

  /** Loses the workers of a machine that is gone. Their batches wait for other workers. */
  lose(node: Node): void {
    const { events, queue, workers } = this.#options;
    for (const [worker, { batch, sinceMs }] of this.#runs) {
      if (worker.node !== node) continue;
      this.#runs.delete(worker);
      this.#busyMs += events.nowMs - sinceMs;
      events.after(redeliveryMs, () => {
        queue.putBack(batch);
        this.dispatch();
      });
    }
    workers.lose(node);
  }

  #run(worker: Worker, batch: readonly Item[]): void {
    const { events, queue, workers, batchTime } = this.#options;
    const run = { batch, sinceMs: events.nowMs };
    worker.state = 'busy';
    this.#runs.set(worker, run);
    events.after(batchTime.msFor(batch.length), () => {
      if (this.#runs.get(worker) !== run) return;
      this.#runs.delete(worker);
      this.#busyMs += events.nowMs - run.sinceMs;
      queue.answer(batch);
      workers.finish(worker);
      this.dispatch();
    });
  }
}
