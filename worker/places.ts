// The places of a worker: one for each model that it has, by queue. Two versions of a model, or two files of one
// version, have places of their own.

import type { Model } from '../shared/registry/models.js';
import type { Place } from './place.js';

export class Places {
  readonly #open: (model: Model) => Place;
  readonly #graceMs: number;
  readonly #onClosed: (model: Model) => void;
  readonly #places = new Map<string, Place>();
  readonly #closing = new Set<Promise<void>>();
  #isClosed = false;

  /** @param options.graceMs how long a place may finish its jobs when it is closed */
  constructor(options: {
    open: (model: Model) => Place;
    graceMs: number;
    onClosed?: ((model: Model) => void) | undefined;
  }) {
    this.#open = options.open;
    this.#graceMs = options.graceMs;
    this.#onClosed = options.onClosed ?? (() => {});
  }

  get all(): readonly Place[] {
    return [...this.#places.values()];
  }

  get(queue: string): Place | undefined {
    return this.#places.get(queue);
  }

  /** Opens the place of a model. Returns undefined once all places are closed. */
  open(model: Model): Place | undefined {
    if (this.#isClosed) return undefined;
    const place = this.#open(model);
    this.#places.set(model.queue, place);
    return place;
  }

  /** Closes a place. Resolves when its model is unloaded. */
  close(place: Place): Promise<void> {
    this.#places.delete(place.model.queue);
    const closed = place.close(this.#graceMs).finally(() => {
      this.#closing.delete(closed);
      this.#onClosed(place.model);
    });
    this.#closing.add(closed);
    return closed;
  }

  /** Closes all places, waits for those that close already, and opens no more. */
  async closeAll(): Promise<void> {
    this.#isClosed = true;
    for (const place of this.all) void this.close(place);
    await Promise.all(this.#closing);
  }
}
