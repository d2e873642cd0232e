// The events of the jobs and items of one model. The stages report them once, and metrics and traces listen.

import type { TraceContext } from '../shared/telemetry/telemetry.js';
import type { Reply } from '../shared/wire/reply.js';

/** An item as listeners see it. Times are milliseconds since the epoch. */
export interface SeenItem {
  readonly id: string;
  readonly submittedAt: number;
  readonly trace?: TraceContext | undefined;
}

/** An item that a worker has taken. */
export interface TakenItem extends SeenItem {
  readonly takenAt: number;
  readonly jobId: string;
  /** Whether the job was taken before by a worker that did not finish it. */
  readonly isRecovered: boolean;
}

/** The run of a batch. `startedAt` is in milliseconds since the epoch, and `batchSize` in rows. */
export interface Run {
  readonly startedAt: number;
  readonly computeMs: number;
  readonly batchSize: number;
}

/** Items that get their replies: those of a run, or, without a run, items that could be answered at once. */
export interface Answered {
  readonly items: readonly TakenItem[];
  /** One for each item, in order. */
  readonly replies: readonly Reply[];
  readonly run?: Run | undefined;
}

export type DropReason = 'late' | 'cancelled';
export type JobEvent = 'recovered' | 'handedBack' | 'unreadable';

export interface ItemEvents {
  /** A run of these items has ended. */
  ran(items: readonly TakenItem[], run: Run): void;
  /** Items were answered, with a result or an error. */
  answered(answered: Answered): void;
  /** Items were not scored. Some were never taken, because nobody waits for them. */
  dropped(reason: DropReason, items: readonly (SeenItem | TakenItem)[]): void;
  /** A process of the quarantine has ended with these items. */
  crashed(items: readonly TakenItem[]): void;
  /** Something happened to jobs. */
  happened(event: JobEvent, amount?: number): void;
}

/** Joins listeners. Returns undefined if there are none. */
export function joinListeners(all: readonly (ItemEvents | undefined)[]): ItemEvents | undefined {
  const listeners = all.filter((listener) => listener !== undefined);
  if (listeners.length < 2) return listeners[0];
  return {
    ran: (items, run) => {
      for (const listener of listeners) listener.ran(items, run);
    },
    answered: (answered) => {
      for (const listener of listeners) listener.answered(answered);
    },
    dropped: (reason, items) => {
      for (const listener of listeners) listener.dropped(reason, items);
    },
    crashed: (items) => {
      for (const listener of listeners) listener.crashed(items);
    },
    happened: (event, amount) => {
      for (const listener of listeners) listener.happened(event, amount);
    },
  };
}
