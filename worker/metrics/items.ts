// Counts what happens to the jobs and items of one model.

import type { Instruments } from '../../shared/metrics/instruments.js';
import { faultCodes } from '../../shared/metrics/table.js';
import type { Model } from '../../shared/models.js';
import type { Reply } from '../../shared/reply.js';

/** When an item was submitted and taken, in milliseconds since the epoch. */
interface Timed {
  readonly submittedAt: number;
  readonly takenAt: number;
}

interface BatchRun {
  readonly startedAt: number;
  readonly computeMs: number;
  /** In rows. */
  readonly batchSize: number;
}

export type DropReason = 'late' | 'cancelled';
type JobEvent = 'recovered' | 'quarantineCrashes' | 'handedBack' | 'unreadable';

export class ItemMetrics {
  readonly #instruments: Instruments;
  readonly #labels: { readonly model: string; readonly version: string };

  constructor(instruments: Instruments, { name, version }: Pick<Model, 'name' | 'version'>) {
    this.#instruments = instruments;
    this.#labels = { model: name, version };
    this.#beginSeries();
  }

  /** A run of these items has ended. */
  ran(items: readonly Timed[], { startedAt, computeMs, batchSize }: BatchRun): void {
    const instruments = this.#instruments;
    instruments.observe('runSeconds', this.#labels, computeMs / 1000);
    instruments.observe('batchRows', this.#labels, batchSize);
    for (const { submittedAt, takenAt } of items) {
      instruments.observe('queueSeconds', this.#labels, Math.max(0, takenAt - submittedAt) / 1000);
      instruments.observe('batchSeconds', this.#labels, Math.max(0, startedAt - takenAt) / 1000);
    }
  }

  /** Items were answered, with a result or an error. */
  answered(replies: readonly Reply[]): void {
    let good = 0;
    for (const reply of replies) {
      if ('error' in reply) this.#count(reply.error.code, 1);
      else good++;
    }
    if (good > 0) this.#count('ok', good);
  }

  /** Items were not scored. */
  dropped(reason: DropReason, amount: number): void {
    this.#instruments.add('dropped', { ...this.#labels, reason }, amount);
  }

  /** Something happened to jobs. */
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
    this.dropped('late', 0);
    this.dropped('cancelled', 0);
    for (const event of ['recovered', 'quarantineCrashes', 'handedBack', 'unreadable'] as const) {
      this.happened(event, 0);
    }
  }
}
