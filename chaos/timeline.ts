// The timeline: what was broken, from when to when, and how long each model took to answer again.

import type { FaultKind } from './schedule.js';

export interface Disturbance {
  readonly kind: FaultKind;
  readonly from: number;
  /** Undefined as long as it lasts. */
  until: number | undefined;
}

/** What a fault leaves behind (connections that are made again, jobs that are taken over) ends within this. */
const aftermathMs = 2000;

type SlowestMs = Partial<Record<FaultKind, number>>;

export interface Timeline {
  /** Notes that a fault begins; the call that is returned notes that it is over. */
  begin(kind: FaultKind): () => void;
  /** The faults that touch a span of time. */
  during(from: number, until: number, kinds?: readonly FaultKind[]): Disturbance[];
  /** Notes a right answer to a request that was sent then. */
  answered(model: string, sentAt: number): void;
  /**
   * The longest time from a fault to the first right answer of a model to a request that was sent
   * after it, by the kind of fault.
   */
  recoveries(): SlowestMs;
  /** The same of the faults that stood alone: nothing else was broken shortly before or meanwhile. */
  loneRecoveries(): SlowestMs;
  /** How often each kind of fault happened. */
  counts(): Partial<Record<FaultKind, number>>;
  /** Whether each model has answered since the last fault. */
  isRecovered(): boolean;
}

export function makeTimeline(models: readonly string[], now: () => number): Timeline {
  const disturbances: Disturbance[] = [];
  const unanswered = new Map<string, Disturbance[]>(models.map((model) => [model, []]));
  const slowest: SlowestMs = {};
  const slowestLone: SlowestMs = {};

  const during: Timeline['during'] = (from, until, kinds) =>
    disturbances.filter(
      (fault) =>
        fault.kind !== 'hang-up' &&
        (!kinds || kinds.includes(fault.kind)) &&
        fault.from <= until &&
        (fault.until ?? Number.POSITIVE_INFINITY) + aftermathMs >= from,
    );
  const note = (recoveries: SlowestMs, { kind, from }: Disturbance) => {
    recoveries[kind] = Math.max(recoveries[kind] ?? 0, now() - from);
  };

  return {
    begin(kind) {
      const disturbance: Disturbance = { kind, from: now(), until: undefined };
      disturbances.push(disturbance);
      // A client that leaves breaks nothing that could recover.
      if (kind !== 'hang-up') for (const waiting of unanswered.values()) waiting.push(disturbance);
      return () => {
        disturbance.until ??= now();
      };
    },
    during,
    answered(model, sentAt) {
      const waiting = unanswered.get(model) ?? [];
      for (const fault of waiting.filter((fault) => fault.from <= sentAt)) {
        note(slowest, fault);
        if (during(fault.from, now()).length === 1) note(slowestLone, fault);
      }
      unanswered.set(
        model,
        waiting.filter((fault) => fault.from > sentAt),
      );
    },
    recoveries: () => ({ ...slowest }),
    loneRecoveries: () => ({ ...slowestLone }),
    counts() {
      const counts: Partial<Record<FaultKind, number>> = {};
      for (const { kind } of disturbances) counts[kind] = (counts[kind] ?? 0) + 1;
      return counts;
    },
    isRecovered: () => [...unanswered.values()].every((waiting) => waiting.length === 0),
  };
}
