// Counts what happens to the jobs and items of one model.

import type { Exemplar, Instruments } from '../../shared/metrics/instruments.js';
import { faultCodes } from '../../shared/metrics/table.js';
import type { Model } from '../../shared/registry/models.js';
import type {
  Answered,
  DropReason,
  ItemEvents,
  JobEvent,
  Run,
  SeenItem,
  TakenItem,
} from '../events.js';

export class ItemMetrics implements ItemEvents {
  readonly #instruments: Instruments;
  readonly #labels: { readonly model: string; readonly version: string };

  constructor(instruments: Instruments, { name, version }: Pick<Model, 'name' | 'version'>) {
    this.#instruments = instruments;
    this.#labels = { model: name, version };
    this.#beginSeries();
  }

  ran(items: readonly TakenItem[], { startedAt, computeMs, batchSize }: Run): void {
    const instruments = this.#instruments;
    const traced = items.find(({ trace }) => trace !== undefined);
    instruments.observe('runSeconds', this.#labels, computeMs / 1000, exemplarOf(traced));
    instruments.observe('batchRows', this.#labels, batchSize);
    for (const item of items) {
      const { submittedAt, takenAt } = item;
      const queueSeconds = Math.max(0, takenAt - submittedAt) / 1000;
      const batchSeconds = Math.max(0, startedAt - takenAt) / 1000;
      const exemplar = exemplarOf(item);
      instruments.observe('queueSeconds', this.#labels, queueSeconds, exemplar);
      instruments.observe('batchSeconds', this.#labels, batchSeconds, exemplar);
    }
  }

  answered({ replies }: Pick<Answered, 'replies'>): void {
    let good = 0;
    for (const reply of replies) {
      if ('error' in reply) this.#count(reply.error.code, 1);
      else good++;
    }
    if (good > 0) this.#count('ok', good);
  }

  dropped(reason: DropReason, items: readonly SeenItem[]): void {
    this.#instruments.add('dropped', { ...this.#labels, reason }, items.length);
  }

  crashed(items: readonly TakenItem[]): void {
    this.#instruments.add('quarantineCrashes', this.#labels, items.length > 0 ? 1 : 0);
  }

  happened(event: JobEvent, amount = 1): void {
    this.#instruments.add(event, this.#labels, amount);
  }

  #count(code: string, amount: number): void {
    this.#instruments.add('items', { ...this.#labels, code }, amount);
  }

  #beginSeries(): void {
    const instruments = this.#instruments;
    for (const key of ['queueSeconds', 'batchSeconds', 'runSeconds', 'batchRows'] as const) {
      instruments.begin(key, this.#labels);
    }
    for (const code of ['ok', ...faultCodes]) this.#count(code, 0);
    this.dropped('late', []);
    this.dropped('cancelled', []);
    this.crashed([]);
    for (const event of ['recovered', 'handedBack', 'unreadable'] as const) {
      this.happened(event, 0);
    }
  }
}

/** The trace and the span are the second and the third part of a traceparent. */
function exemplarOf(item: SeenItem | undefined): Exemplar | undefined {
  const [, traceId, spanId] = item?.trace?.traceparent.split('-') ?? [];
  return traceId && spanId ? { traceId, spanId } : undefined;
}
