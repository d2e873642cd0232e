// The events of a simulation: what happens, in the order of its time. Events of the same time happen in
// the order in which they were added, so a run can be repeated.

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly happen: () => void;
}

export class Events {
  /** A binary heap; the first event is next. */
  readonly #heap: Event[] = [];
  #added = 0;
  #nowMs = 0;

  /** Milliseconds since the beginning. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** Adds an event that happens `delayMs` from now. */
  after(delayMs: number, happen: () => void): void {
    const event = { atMs: this.#nowMs + delayMs, order: this.#added++, happen };
    const heap = this.#heap;
    let at = heap.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] as Event;
      if (isBefore(above, event)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = event;
  }

  /** Adds an event that happens after `firstAfterMs`, and then every `everyMs`. */
  every(everyMs: number, firstAfterMs: number, happen: () => void): void {
    this.after(firstAfterMs, () => {
      happen();
      this.every(everyMs, everyMs, happen);
    });
  }

  /** Lets happen whatever is due until then. */
  runUntil(endMs: number): void {
    for (let next = this.#heap[0]; next && next.atMs <= endMs; next = this.#heap[0]) {
      this.#removeFirst();
      this.#nowMs = next.atMs;
      next.happen();
    }
    this.#nowMs = endMs;
  }

  #removeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop() as Event;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      const right = left + 1;
      if (left >= heap.length) break;
      const isRight = right < heap.length && isBefore(heap[right] as Event, heap[left] as Event);
      const child = isRight ? right : left;
      if (isBefore(last, heap[child] as Event)) break;
      heap[at] = heap[child] as Event;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
