// A pool of machines, and the cluster autoscaler that adds and removes them. A worker takes a place on a
// machine. If there is none, machines are ordered, as many as the waiting workers need at once. A machine
// is paid for from its order until it is removed, after it has been empty for `idleMs`.

import type { Events } from './events.js';

export interface PoolOptions {
  readonly workersPerNode: number;
  readonly nodesMin: number;
  readonly nodesMax: number;
  readonly startMs: number;
  readonly idleMs: number;
}

export interface Node {
  readonly orderedAtMs: number;
  isReady: boolean;
  /** How many workers are on it. */
  workers: number;
  /** Changes whenever a worker comes or leaves, so an earlier look at an empty machine is void. */
  uses: number;
}

export class Pool {
  readonly #options: PoolOptions;
  readonly #events: Events;
  readonly #onReady: () => void;
  readonly #nodes = new Set<Node>();
  #paidMs = 0;

  /** @param onReady called when a machine is ready for workers */
  constructor(options: PoolOptions, events: Events, onReady: () => void) {
    this.#options = options;
    this.#events = events;
    this.#onReady = onReady;
    for (let count = 0; count < options.nodesMin; count++) this.#add(true);
  }

  get nodes(): number {
    return this.#nodes.size;
  }

  /** The time for which machines have been paid so far, those that still run included. */
  get paidMs(): number {
    const { nowMs } = this.#events;
    return [...this.#nodes].reduce(
      (sum, { orderedAtMs }) => sum + nowMs - orderedAtMs,
      this.#paidMs,
    );
  }

  /** Takes a place on the fullest machine that has one, so the others can become empty. */
  take(): Node | undefined {
    const free = [...this.#nodes].filter(
      ({ isReady, workers }) => isReady && workers < this.#options.workersPerNode,
    );
    const [node] = free.toSorted((a, b) => b.workers - a.workers);
    if (!node) return undefined;
    node.workers++;
    node.uses++;
    return node;
  }

  give(node: Node): void {
    node.workers--;
    node.uses++;
    this.#removeIfUnused(node);
  }

  /** Orders machines for workers that found no place. */
  order(waitingWorkers: number): void {
    const { workersPerNode, nodesMax } = this.#options;
    const coming = [...this.#nodes].filter(({ isReady }) => !isReady).length;
    const needed = Math.ceil(waitingWorkers / workersPerNode) - coming;
    for (let count = 0; count < needed && this.#nodes.size < nodesMax; count++) this.#orderOne();
  }

  /**
   * Takes the ready machine with the most workers away, and returns it. If fewer than `nodesMin` are left, another one
   * is ordered.
   */
  evict(): Node | undefined {
    const ready = [...this.#nodes].filter(({ isReady }) => isReady);
    const [node] = ready.toSorted((a, b) => b.workers - a.workers);
    if (!node) return undefined;
    this.#remove(node);
    if (this.#nodes.size < this.#options.nodesMin) this.#orderOne();
    return node;
  }

  #orderOne(): void {
    const node = this.#add(false);
    this.#events.after(this.#options.startMs, () => {
      node.isReady = true;
      this.#onReady();
      this.#removeIfUnused(node);
    });
  }

  #add(isReady: boolean): Node {
    const node = { orderedAtMs: this.#events.nowMs, isReady, workers: 0, uses: 0 };
    this.#nodes.add(node);
    return node;
  }

  #removeIfUnused(node: Node): void {
    if (node.workers > 0) return;
    const { uses } = node;
    this.#events.after(this.#options.idleMs, () => {
      const isUnused = node.uses === uses && this.#nodes.has(node);
      if (isUnused && this.#nodes.size > this.#options.nodesMin) this.#remove(node);
    });
  }

  #remove(node: Node): void {
    this.#nodes.delete(node);
    this.#paidMs += this.#events.nowMs - node.orderedAtMs;
  }
}
