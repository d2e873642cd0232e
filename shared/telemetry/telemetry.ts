// Telemetry: traces, metrics and logs that leave the process, by OTLP or to Azure Monitor.
//
// Stages know these interfaces at most, and no library. A request that is traced has a trace. All others have
// none, and pay nothing.

import type { Instruments } from '../metrics/instruments.js';
import type { Logger, SendLine } from '../process/log.js';
import type { Attributes, EventName, SpanName } from './attributes.js';

/** A span as others name it: the fields of W3C Trace Context. It travels in headers and in items. */
export interface TraceContext {
  readonly traceparent: string;
  readonly tracestate?: string | undefined;
}

export interface SpanStart {
  /** A name of the table. Everything that varies is in the attributes, or follows the name. */
  readonly name: SpanName;
  /** Follows the name, such as the route or the queue. */
  readonly of?: string | undefined;
  /** Milliseconds since the epoch, by the common clock. */
  readonly startAt: number;
  readonly attributes?: Attributes | undefined;
  readonly links?: readonly TraceContext[] | undefined;
}

/** A span that has begun. Everything after its end is ignored. */
export interface Span {
  readonly context: TraceContext;
  readonly traceId: string;
  readonly spanId: string;
  set(attributes: Attributes): void;
  rename(of: string): void;
  link(context: TraceContext): void;
  addEvent(name: EventName, at: number): void;
  /** Marks it as failed, with a code of errors.ts. */
  fail(code: string, detail?: string): void;
  end(at: number): void;
}

export interface Tracer {
  /** Whether the trace of a request is kept. It is asked for each request, so it costs next to nothing. */
  samples(caller: TraceContext | undefined): boolean;
  /** Starts the first span here of a trace that is kept. */
  begin(span: SpanStart, caller: TraceContext | undefined): Span;
  /** Starts a span below another, or in a trace of its own. */
  start(span: SpanStart, parent?: TraceContext): Span;
  /** Whether spans of traces that were left out may be sent after all, if their requests fail. */
  readonly keepsFailures: boolean;
}

export interface Telemetry {
  /** Undefined if no traces are sent. */
  readonly tracer: Tracer | undefined;
  /** Undefined if no logs are sent. */
  readonly sendLine: SendLine | undefined;
  readonly sendsMetrics: boolean;
  /** Sends the values of these instruments from now on. */
  sendMetrics(instruments: Instruments): void;
  /** Logs from now on what goes wrong with the exports. */
  reportTo(log: Logger): void;
  /** Sends what is left, for a bounded time. Can be called twice. */
  close(): Promise<void>;
}
