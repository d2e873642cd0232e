// The spans of items, made once an item is answered or dropped, so its reply never waits for them.
//
// Each item has spans of its own in the trace of its request: it waited in the queue, a worker had it, and in
// there it waited for a batch, was run, and was answered. A batch serves several traces, so it has a span in a
// trace of its own, linked to those items and they to it.

import { nowMs } from '../../shared/clock.js';
import type { Model } from '../../shared/registry/models.js';
import type { Attributes } from '../../shared/telemetry/attributes.js';
import type { Span, TraceContext, Tracer } from '../../shared/telemetry/telemetry.js';
import type { Answered, DropReason, ItemEvents, Run, SeenItem, TakenItem } from '../events.js';

type Traced<T extends SeenItem> = T & { readonly trace: TraceContext };

/** Items that have ended a process of the quarantine, until they are answered. */
const crashesMax = 1000;

export class ItemTraces implements ItemEvents {
  readonly #tracer: Tracer;
  readonly #queue: string;
  readonly #model: Attributes;
  readonly #messaging: Attributes;
  /** By item, when it ended a process of the quarantine. */
  readonly #crashes = new Map<string, number[]>();

  constructor(tracer: Tracer, { name, version }: Pick<Model, 'name' | 'version'>, queue: string) {
    this.#tracer = tracer;
    this.#queue = queue;
    this.#model = { 'scoreline.model.name': name, 'scoreline.model.version': version };
    this.#messaging = {
      'messaging.system': 'bullmq',
      'messaging.operation.type': 'process',
      'messaging.operation.name': 'process',
      'messaging.destination.name': queue,
      ...this.#model,
    };
  }

  ran(): void {}

  happened(): void {}

  crashed(items: readonly TakenItem[]): void {
    const now = nowMs();
    for (const { id } of items.filter(isTraced)) {
      if (this.#crashes.size < crashesMax) {
        this.#crashes.set(id, [...(this.#crashes.get(id) ?? []), now]);
      }
    }
  }

  answered({ items, replies, run }: Answered): void {
    if (!items.some(isTraced)) return;
    const now = nowMs();
    const processed: Span[] = [];
    for (const [at, item] of items.entries()) {
      if (!isTraced(item)) continue;
      const span = this.#process(item, now);
      const reply = replies[at];
      if (reply && 'error' in reply) span.fail(reply.error.code);
      if (run) this.#addRun(span, item, run, now);
      processed.push(span);
    }
    const batch = run && this.#batch(items, run, processed);
    for (const span of processed) {
      if (batch) span.link(batch.context);
      span.end(now);
    }
  }

  dropped(reason: DropReason, items: readonly (SeenItem | TakenItem)[]): void {
    const now = nowMs();
    for (const item of items) {
      if (!isTraced(item)) continue;
      const span = this.#process(item, now);
      span.set({ 'scoreline.dropped': reason });
      span.addEvent(reason === 'late' ? 'deadline_exceeded' : 'cancelled', now);
      span.end(now);
    }
  }

  /** The wait of an item in the queue, and the time since. */
  #process(item: Traced<SeenItem | TakenItem>, now: number): Span {
    const takenAt = 'takenAt' in item ? item.takenAt : now;
    const { id, submittedAt, trace } = item;
    this.#add('queue', trace, submittedAt, takenAt);
    const attributes = { ...this.#messaging, 'messaging.message.id': id };
    const span = this.#tracer.start(
      { name: 'process', of: this.#queue, startAt: takenAt, attributes },
      trace,
    );
    if ('jobId' in item) span.set({ 'scoreline.job.id': item.jobId });
    if ('isRecovered' in item && item.isRecovered) {
      span.set({ 'scoreline.recovered': true, 'scoreline.quarantined': true });
      span.addEvent('worker_lost', takenAt);
    }
    for (const at of this.#crashes.get(id) ?? []) span.addEvent('quarantine_crashed', at);
    this.#crashes.delete(id);
    return span;
  }

  #addRun(span: Span, { takenAt }: TakenItem, { startedAt, computeMs }: Run, now: number): void {
    const ranAt = Math.min(startedAt + computeMs, now);
    this.#add('wait', span.context, takenAt, startedAt);
    this.#add('run', span.context, startedAt, ranAt);
    this.#add('reply', span.context, ranAt, now);
  }

  #batch(items: readonly TakenItem[], run: Run, processed: readonly Span[]): Span {
    const { startedAt, computeMs, batchSize } = run;
    const batch = this.#tracer.start({
      name: 'batch',
      of: this.#queue,
      startAt: startedAt,
      attributes: {
        ...this.#model,
        'messaging.destination.name': this.#queue,
        'scoreline.batch.items': items.length,
        'scoreline.batch.rows': batchSize,
        'scoreline.compute_ms': computeMs,
        ...(items.some(({ isRecovered }) => isRecovered) && { 'scoreline.quarantined': true }),
      },
      links: processed.map(({ context }) => context),
    });
    batch.end(startedAt + computeMs);
    return batch;
  }

  #add(
    name: 'queue' | 'wait' | 'run' | 'reply',
    parent: TraceContext,
    startAt: number,
    endAt: number,
  ) {
    this.#tracer.start({ name, startAt }, parent).end(endAt);
  }
}

function isTraced<T extends SeenItem>(item: T): item is Traced<T> {
  return item.trace !== undefined;
}
