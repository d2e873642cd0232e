// The timeline records when each fault began and ended, and how long each model took to answer
// again.

import type { FaultKind } from './schedule.js';

/** What an orchestrator does to a service, on purpose or by itself. */
export type ClusterFault = 'worker-update' | 'api-update' | 'drain' | 'keda-restart';
export type DisturbanceKind = FaultKind | ClusterFault;

/** A fault that happened. Its times are in ms, on the clock of the run. */
export interface Disturbance {
  readonly kind: DisturbanceKind;
  readonly from: number;
  /** Undefined as long as the fault lasts. */
  until: number | undefined;
}

/** After a fault, clients reconnect and workers take jobs over. Both are done within this time. */
const aftermathMs = 2000;

type SlowestMs = Partial<Record<DisturbanceKind, number>>;

export interface Timeline {
  /** Notes that a fault begins. Call the returned function when it is over. */
  begin(kind: DisturbanceKind): () => void;
  /** Returns the faults that overlap a span of time, aftermath included. Hang-ups do not count. */
  during(from: number, until: number, kinds?: readonly DisturbanceKind[]): Disturbance[];
  /** Notes that a request sent at `sentAt` has just got its right answer. */
  answered(model: string, sentAt: number): void;
  /**
   * Returns the slowest recovery per kind of fault. A recovery lasts from the start of the fault to
   * a model's first right answer to a request sent after that.
   */
  recoveries(): SlowestMs;
  /** Like `recoveries`, but only for faults that no other fault overlapped. */
  loneRecoveries(): SlowestMs;
  /** Returns how often each kind of fault happened. */
  counts(): Partial<Record<DisturbanceKind, number>>;
  /** Whether each model has given a right answer to a request sent after the last fault. */
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
      // A client that hangs up breaks nothing, so there is no recovery to measure.
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
      const counts: Partial<Record<DisturbanceKind, number>> = {};
      for (const { kind } of disturbances) counts[kind] = (counts[kind] ?? 0) + 1;
      return counts;
    },
    isRecovered: () => [...unanswered.values()].every((waiting) => waiting.length === 0),
  };
}
