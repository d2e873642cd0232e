// The workers of a model, as a Deployment keeps them.
//
// States of a worker:
// - *pending*: it has no machine yet.
// - *starting*: it has a machine, and loads its model for `startMs`.
// - *idle*, *busy*: it is ready.
// - *leaving*: it was told to end, and finishes its batch first.
// - *gone*.
//
// Scaling down takes pending workers first, then starting ones, then the youngest, busy or not.

import type { Events } from './events.js';
import type { Node, Pool } from './pool.js';

export interface Worker {
  state: 'pending' | 'starting' | 'idle' | 'busy' | 'leaving' | 'gone';
  node: Node | undefined;
  placedAtMs: number;
}

export interface WorkersOptions {
  readonly events: Events;
  readonly pool: Pool;
  readonly startMs: number;
  /** Called when a worker has become idle for the first time. */
  readonly onReady: () => void;
}

export class Workers {
  readonly #options: WorkersOptions;
  /** All but leaving ones, in the order in which they came. */
  #workers: Worker[] = [];
  readonly #leaving = new Set<Worker>();
  /** The time that workers had places on machines, of those that are gone. */
  #placedMs = 0;

  constructor(options: WorkersOptions) {
    this.#options = options;
  }

  /** How many the Deployment has, whatever their state. */
  get count(): number {
    return this.#workers.length;
  }

  get readyCount(): number {
    return this.#workers.filter(({ state }) => state === 'idle' || state === 'busy').length;
  }

  /** The time for which workers have had places on machines so far. */
  get placedMs(): number {
    const { nowMs } = this.#options.events;
    return [...this.#workers, ...this.#leaving]
      .filter(({ node }) => node)
      .reduce((sum, { placedAtMs }) => sum + nowMs - placedAtMs, this.#placedMs);
  }

  findIdle(): Worker | undefined {
    return this.#workers.find(({ state }) => state === 'idle');
  }

  scaleTo(count: number): void {
    while (this.#workers.length < count) this.#add();
    const rank = ({ state }: Worker) => ['pending', 'starting'].indexOf(state);
    const order = (a: Worker, b: Worker) => {
      const [first, second] = [rank(a), rank(b)].map((found) => (found < 0 ? 2 : found));
      return (second as number) - (first as number);
    };
    // The sort is stable: within a rank, the youngest are last.
    const kept = this.#workers.toSorted(order).slice(0, count);
    for (const worker of this.#workers) if (!kept.includes(worker)) this.#end(worker);
    this.#workers = this.#workers.filter((worker) => kept.includes(worker));
    this.place();
  }

  /** Places pending workers on machines, and orders machines for the rest. */
  place(): void {
    const { pool } = this.#options;
    const pending = this.#workers.filter(({ state }) => state === 'pending');
    let waiting = pending.length;
    for (const worker of pending) {
      const node = pool.take();
      if (!node) break;
      waiting--;
      this.#start(worker, node);
    }
    if (waiting > 0) pool.order(waiting);
  }

  /** To be called when a busy or leaving worker has finished its batch. */
  finish(worker: Worker): void {
    if (worker.state === 'busy') worker.state = 'idle';
    if (worker.state !== 'leaving') return;
    this.#leaving.delete(worker);
    this.#leave(worker);
  }

  /** Loses the workers of a machine that is gone. The Deployment replaces them at once. */
  lose(node: Node): void {
    const count = this.#workers.length;
    for (const worker of [...this.#workers, ...this.#leaving]) {
      if (worker.node !== node) continue;
      this.#leaving.delete(worker);
      this.#forget(worker);
    }
    this.#workers = this.#workers.filter(({ state }) => state !== 'gone');
    this.scaleTo(count);
  }

  #add(): void {
    this.#workers.push({ state: 'pending', node: undefined, placedAtMs: 0 });
  }

  #start(worker: Worker, node: Node): void {
    const { events, startMs, onReady } = this.#options;
    worker.state = 'starting';
    worker.node = node;
    worker.placedAtMs = events.nowMs;
    events.after(startMs, () => {
      if (worker.state !== 'starting') return;
      worker.state = 'idle';
      onReady();
    });
  }

  #end(worker: Worker): void {
    if (worker.state === 'busy') {
      worker.state = 'leaving';
      this.#leaving.add(worker);
    } else {
      this.#leave(worker);
    }
  }

  #leave(worker: Worker): void {
    if (worker.node) this.#options.pool.give(worker.node);
    this.#forget(worker);
  }

  #forget(worker: Worker): void {
    if (worker.node) this.#placedMs += this.#options.events.nowMs - worker.placedAtMs;
    worker.state = 'gone';
    worker.node = undefined;
  }
}
