// What a receiver of telemetry has got, in one form for OTLP and for Application Insights.

export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string | undefined;
  readonly name: string;
  readonly kind: string;
  readonly service: string;
  /** Milliseconds since the epoch. */
  readonly startAt: number;
  readonly ms: number;
  readonly isFailed: boolean;
  readonly attributes: Readonly<Record<string, unknown>>;
  /** The ids of the spans that it is linked to. */
  readonly links: readonly string[];
  readonly events: readonly string[];
}

export interface ReceivedMetric {
  readonly name: string;
  readonly service: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly value: number;
  readonly count: number | undefined;
}

export interface ReceivedLog {
  readonly text: string;
  readonly severity: string;
  readonly service: string;
  readonly traceId: string | undefined;
  readonly spanId: string | undefined;
  readonly attributes: Readonly<Record<string, unknown>>;
}

export interface Receiver {
  readonly spans: ReceivedSpan[];
  readonly metrics: ReceivedMetric[];
  readonly logs: ReceivedLog[];
  /** What API and workers need to send here. */
  readonly environment: NodeJS.ProcessEnv;
  close(): Promise<void>;
}
