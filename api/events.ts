// What happens to requests, said once by the edges: metrics, traces and the log listen.

import type { ErrorCode, ScorelineError } from '../shared/errors.js';
import type { Model } from '../shared/registry/models.js';
import type { TraceContext } from '../shared/telemetry/telemetry.js';
import type { Caller } from './access/caller.js';
import type { Call } from './call/call.js';
import type { RequestTrace } from './traces/request-trace.js';

/** A request that has arrived. */
export interface ArrivedRequest {
  /** The method of HTTP, or that of gRPC. */
  readonly method: string;
  readonly isGrpc: boolean;
  /** Whether it only asks whether the service works. Such requests come every few seconds. */
  readonly isProbe: () => boolean;
  /** Milliseconds since the epoch. */
  readonly arrivedAt: number;
  /** The trace that its client says it belongs to. */
  readonly context: TraceContext | undefined;
}

/** A request that has departed: its answer is sent, or its client is gone. */
export interface DepartedRequest extends ArrivedRequest {
  /** One of the routes that docs/metrics.md names. */
  readonly route: string;
  /** Without a query, and without keys. */
  readonly path: () => string;
  /** The pattern of its path, if it scores. */
  readonly pattern: string | undefined;
  /** The status of the answer, as the protocol has it; undefined if there was none. */
  readonly status: number | undefined;
  /** `ok`, the code of an error, or `not_ready`. */
  readonly code: ErrorCode | 'ok' | 'not_ready';
  readonly requestId: () => string;
  readonly caller: Caller | undefined;
  readonly call: Call | undefined;
  /** The models that it may have been for, if no call was opened. */
  readonly models: readonly Model[] | undefined;
  readonly failure: ScorelineError | undefined;
  /** If it is traced. */
  readonly trace: RequestTrace | undefined;
}

export interface RequestEvents {
  /** Whether it has to be told of good requests too. */
  readonly watchesAll: boolean;
  /** Starts the trace of a request, if it is traced. */
  arrived(request: ArrivedRequest): RequestTrace | undefined;
  departed(request: DepartedRequest): void;
}

export interface RequestTraces {
  arrived(request: ArrivedRequest): RequestTrace | undefined;
  /** Ends the trace. Returns it, or the one that begins only now, because the request failed. */
  departed(request: DepartedRequest): RequestTrace | undefined;
}

/** Joins the traces with those who only need to know of departures. */
export function joinListeners(
  traces: RequestTraces | undefined,
  others: readonly (Omit<RequestEvents, 'arrived'> | undefined)[],
): RequestEvents {
  const listeners = others.filter((listener) => listener !== undefined);
  return {
    watchesAll: traces !== undefined || listeners.some(({ watchesAll }) => watchesAll),
    arrived: (request) => traces?.arrived(request),
    departed: (request) => {
      const trace = traces?.departed(request);
      const seen = trace === request.trace ? request : { ...request, trace };
      for (const listener of listeners) listener.departed(seen);
    },
  };
}
