// The figures of the last minutes, as /v1/live has them: a column for each number, with an entry for each second.

import type { Service } from './service.js';

export type Column = readonly (number | null)[];

export interface LiveModel {
  readonly model: string;
  readonly version: string;
  /** Inputs that were scored. A request may have several. */
  readonly inputs: Column;
  readonly requests: Column;
  readonly failures: Column;
  /** By reason. */
  readonly refusals: Readonly<Record<string, Column>>;
  readonly latencyMs: Readonly<Record<'p50' | 'p90' | 'p99', Column>>;
  readonly batchSize: Column;
  readonly unanswered: Column;
  readonly workers: Column;
}

export interface Live {
  readonly times: readonly number[];
  readonly models: readonly LiveModel[];
  /** In a local run only. */
  readonly localWorkers?: readonly { readonly pid: number; readonly isReady: boolean }[];
}

/** How far back the view goes. */
export const shownMs = 180_000;
const pauseMs = 1000;

/** Asks again and again while somebody looks, until the signal aborts. */
export function watchLive(
  service: Service,
  signal: AbortSignal,
  tell: { onLive(live: Live): void; onError(thrown: unknown): void },
): void {
  let after = 0;
  const ask = async () => {
    try {
      const live = await service.ask<Live>(`v1/live?after=${after}`, { signal });
      if (signal.aborted) return;
      after = Math.max((live.times.at(-1) ?? 0) - shownMs, 0);
      tell.onLive(live);
    } catch (thrown) {
      if (!signal.aborted) tell.onError(thrown);
    }
  };
  const turn = async () => {
    while (!signal.aborted) {
      if (document.visibilityState === 'visible') await ask();
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  };
  void turn();
}

export function killWorker(service: Service, pid: number): Promise<unknown> {
  return service.ask(`v1/live/workers/${pid}/kill`, { method: 'POST' });
}
