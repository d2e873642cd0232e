// Shadows: versions that get copies of requests. Their answers are compared with those that were sent, and counted.
//
// A copy is made once its request is on its way, is scored as bulk, and nobody waits for it. The number and the bytes
// of the copies in flight are bounded; what goes beyond is left out and counted. So are copies of the minute after one
// that ended its worker, since others wait for that worker.

import { randomUUID } from 'node:crypto';
import { nowMs } from '../../shared/clock.js';
import { ScorelineError } from '../../shared/errors.js';
import type { Model } from '../../shared/registry/models.js';
import type { Registry } from '../../shared/registry/registry.js';
import { countBytes } from '../../shared/tensors/tensors.js';
import { makeItemId, rowsOfItem } from '../../shared/wire/item-id.js';
import type { OutputWish } from '../../shared/wire/job.js';
import type { ScoredReply } from '../../shared/wire/reply.js';
import type { Call } from '../call/call.js';
import { Ending } from '../call/ending.js';
import type { DispatchedItem, Dispatcher } from '../queue/dispatcher.js';
import { doAgree } from './agreement.js';

export const shadowOutcomes = ['same', 'different', 'failed', 'left_out'] as const;
export type ShadowOutcome = (typeof shadowOutcomes)[number];
export type ShadowCounts = Readonly<Record<ShadowOutcome, number>>;

type Outputs = ScoredReply['outputs'];

const copiesMax = 64;
const copiesBytesMax = 64 * 1024 * 1024;
const pauseMs = 60_000;

export class Shadows {
  readonly #registry: Pick<Registry, 'shadows'>;
  readonly #dispatcher: Pick<Dispatcher, 'submit'>;
  readonly #onOutcome: (shadow: Model, outcome: ShadowOutcome) => void;
  /** By queue, since this process started. */
  readonly #counts = new Map<string, Record<ShadowOutcome, number>>();
  /** By queue, until when no copies are sent. By the clock of `performance`. */
  readonly #pausedUntil = new Map<string, number>();
  /** By queue, the endings of the copies in flight. */
  readonly #endings = new Map<string, Set<Ending>>();
  #copies = 0;
  #bytes = 0;

  constructor(options: {
    registry: Pick<Registry, 'shadows'>;
    dispatcher: Pick<Dispatcher, 'submit'>;
    onOutcome?: ((shadow: Model, outcome: ShadowOutcome) => void) | undefined;
  }) {
    this.#registry = options.registry;
    this.#dispatcher = options.dispatcher;
    this.#onOutcome = options.onOutcome ?? (() => {});
  }

  /** How the answers of a shadow compare. */
  countsOf({ queue }: Model): ShadowCounts {
    return this.#counts.get(queue) ?? noCounts();
  }

  /** Sends a copy of the items of a call, if its model has a shadow. Never throws. */
  copy(
    { model }: Pick<Call, 'model'>,
    items: readonly DispatchedItem[],
    wish: OutputWish,
    replies: readonly Promise<ScoredReply>[],
  ): void {
    const { shadows } = this.#registry;
    const shadow = shadows.size === 0 ? undefined : shadows.get(model.name);
    if (!shadow?.of.has(model.queue) || Math.random() * 100 >= shadow.percent) return;
    const bytes = countBytes(items.flatMap(({ inputs }) => inputs));
    const isPaused = performance.now() < (this.#pausedUntil.get(shadow.model.queue) ?? 0);
    if (
      isPaused ||
      this.#copies + items.length > copiesMax ||
      this.#bytes + bytes > copiesBytesMax
    ) {
      for (const _ of items) this.#count(shadow.model, 'left_out');
      return;
    }
    this.#copies += items.length;
    this.#bytes += bytes;
    void this.#compare(model, shadow.model, { items, wish, replies }).finally(() => {
      this.#copies -= items.length;
      this.#bytes -= bytes;
    });
  }

  async #compare(
    model: Model,
    shadow: Model,
    sent: {
      items: readonly DispatchedItem[];
      wish: OutputWish;
      replies: readonly Promise<ScoredReply>[];
    },
  ): Promise<void> {
    const { wish, replies } = sent;
    const { deadlineMs } = shadow.manifest;
    const ending = new Ending();
    const endings = this.#endings.get(shadow.queue) ?? new Set();
    this.#endings.set(shadow.queue, endings.add(ending));
    const timer = setTimeout(() => ending.end(tooLate()), deadlineMs);
    const copies = this.#dispatcher.submit({
      ...{ ...wish, model: shadow, priority: 'bulk', ending },
      deadlineAt: nowMs() + deadlineMs,
      items: sent.items.map(({ id, inputs }) => ({
        id: makeItemId(randomUUID(), rowsOfItem(id)),
        inputs,
      })),
    });
    const pairs = copies.map(async (copy, at) => {
      const [own, other] = await Promise.allSettled([replies[at], copy]);
      // What the model itself could not score says nothing about its shadow.
      if (own.status === 'rejected' || !own.value) return;
      if (other.status === 'rejected') return this.#fail(shadow, other.reason);
      const pair = { own: own.value.outputs, others: other.value.outputs };
      this.#count(shadow, outcomeOf(model, shadow, { ...pair, wish }));
    });
    await Promise.all(pairs);
    clearTimeout(timer);
    endings.delete(ending);
    if (endings.size === 0) this.#endings.delete(shadow.queue);
  }

  #fail(shadow: Model, error: unknown): void {
    this.#count(shadow, error === paused ? 'left_out' : 'failed');
    if (error === paused || !(error instanceof ScorelineError) || error.code !== 'model_crashed')
      return;
    this.#pausedUntil.set(shadow.queue, performance.now() + pauseMs);
    for (const ending of this.#endings.get(shadow.queue) ?? []) ending.end(paused);
  }

  #count(shadow: Model, outcome: ShadowOutcome): void {
    const counts = this.#counts.get(shadow.queue) ?? noCounts();
    counts[outcome]++;
    this.#counts.set(shadow.queue, counts);
    this.#onOutcome(shadow, outcome);
  }
}

/** Ends the copies in flight of a shadow that has ended a worker. */
const paused = new ScorelineError('model_crashed', 'Another copy has ended a worker.');

function outcomeOf(
  model: Model,
  shadow: Model,
  { own, others, wish }: { own: Outputs; others: Outputs; wish: OutputWish },
): ShadowOutcome {
  try {
    return doAgree(model, own, shadow, others, wish) ? 'same' : 'different';
  } catch {
    // A version that lacks an output cannot be compared.
    return 'failed';
  }
}

function noCounts(): Record<ShadowOutcome, number> {
  return { same: 0, different: 0, failed: 0, left_out: 0 };
}

function tooLate(): ScorelineError {
  return new ScorelineError('deadline_exceeded', 'A shadow did not answer before its deadline.');
}
