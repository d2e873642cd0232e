// Spans by OpenTelemetry's API, and the decision which traces are kept.
//
// The decision is made once, where a request comes in. A request that is left out has no spans at all, costs nothing further
// on, and its items carry no context. A part that gets a context continues its trace.

import {
  createTraceState,
  type Link,
  type Attributes as OtelAttributes,
  type Span as OtelSpan,
  type Tracer as OtelTracer,
  ROOT_CONTEXT,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
} from '@opentelemetry/api';
import { millisToHrTime, parseTraceParent } from '@opentelemetry/core';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  type Sampler as OtelSampler,
  ParentBasedSampler,
  SamplingDecision,
  TraceIdRatioBasedSampler,
} from '@opentelemetry/sdk-trace-base';
import type { TelemetryConfiguration } from '../configuration/telemetry.js';
import { type Attributes, type EventName, spanTable } from './attributes.js';
import type { Span, SpanStart, TraceContext, Tracer } from './telemetry.js';

const kinds = {
  server: SpanKind.SERVER,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
  internal: SpanKind.INTERNAL,
} as const;

/** By this, Azure Monitor knows for how many requests one stands. */
const azureShareName = '_MS.sampleRate';
/** Azure Monitor names the request that a consumer makes of an item by it. */
const azureOperationName = 'ai.operation.name';

export function makeTracer(
  otel: OtelTracer,
  { configuration, isAzure }: { configuration: TelemetryConfiguration; isAzure: boolean },
): Tracer {
  const sampler = new HeadSampler(configuration);
  const { OTEL_TRACES_SAMPLER: name, OTEL_TRACES_SAMPLER_ARG: share } = configuration;
  const follows = configuration.OTEL_PROPAGATORS.includes('tracecontext');
  const isShare = isAzure && name.endsWith('traceidratio') && share < 1;

  const start = (
    { name, of, startAt, attributes, links = [] }: SpanStart,
    parent: SpanContext | undefined,
    extra: OtelAttributes = {},
  ): Span => {
    const title = titleOf(name, of);
    const kind = kinds[spanTable[name].kind];
    if (isAzure && kind === SpanKind.CONSUMER) extra[azureOperationName] = title;
    const options = {
      kind,
      // The API could take a number for a time since the start of the process.
      startTime: millisToHrTime(startAt),
      attributes: { ...attributes, ...extra },
      links: links.flatMap((link) => toLink(link) ?? []),
    };
    const context = parent ? trace.setSpanContext(ROOT_CONTEXT, parent) : ROOT_CONTEXT;
    return new OpenSpan(otel.startSpan(title, options, context), startAt, name);
  };

  return {
    keepsFailures: !name.endsWith('always_off'),
    samples: (caller) =>
      caller && follows ? sampler.samplesBelow(caller) : sampler.samplesAlone(),
    begin: (span, caller) => {
      const parent = follows && caller ? toContext(caller) : undefined;
      return start(span, parent, isShare && !parent ? { [azureShareName]: share * 100 } : {});
    },
    start: (span, parent) => {
      const context = parent && toContext(parent);
      return start(span, context && { ...context, traceFlags: TraceFlags.SAMPLED });
    },
  };
}

class OpenSpan implements Span {
  readonly context: TraceContext;
  readonly traceId: string;
  readonly spanId: string;
  readonly #span: OtelSpan;
  readonly #startAt: number;
  readonly #name: SpanStart['name'];

  constructor(span: OtelSpan, startAt: number, name: SpanStart['name']) {
    this.#span = span;
    this.#startAt = startAt;
    this.#name = name;
    const { traceId, spanId, traceState } = span.spanContext();
    this.traceId = traceId;
    this.spanId = spanId;
    const tracestate = traceState?.serialize();
    const traceparent = `00-${traceId}-${spanId}-01`;
    this.context = tracestate ? { traceparent, tracestate } : { traceparent };
  }

  set(attributes: Attributes): void {
    this.#span.setAttributes(attributes);
  }

  rename(of: string): void {
    this.#span.updateName(titleOf(this.#name, of));
  }

  link(context: TraceContext): void {
    const link = toLink(context);
    if (link) this.#span.addLink(link);
  }

  addEvent(name: EventName, at: number): void {
    this.#span.addEvent(name, millisToHrTime(at));
  }

  fail(code: string, detail?: string): void {
    this.#span.setStatus({ code: SpanStatusCode.ERROR, message: detail ?? code });
    this.#span.setAttribute('error.type', code);
  }

  end(at: number): void {
    // The SDK warns of spans that end twice.
    if (this.#span.isRecording()) this.#span.end(millisToHrTime(Math.max(at, this.#startAt)));
  }
}

/**
 * Decides by the samplers of the SDK. A request without a caller's trace has no id yet that a decision could be
 * made by, so a random number makes it. Ids are made from such numbers as well.
 */
class HeadSampler {
  readonly #below: OtelSampler;
  readonly #share: number;

  constructor({
    OTEL_TRACES_SAMPLER: name,
    OTEL_TRACES_SAMPLER_ARG: share,
  }: TelemetryConfiguration) {
    this.#below = makeSampler(name, share);
    this.#share = name.endsWith('always_on') ? 1 : name.endsWith('always_off') ? 0 : share;
  }

  samplesAlone(): boolean {
    return Math.random() < this.#share;
  }

  samplesBelow(caller: TraceContext): boolean {
    const parent = toContext(caller);
    if (!parent) return this.samplesAlone();
    const context = trace.setSpanContext(ROOT_CONTEXT, parent);
    const { decision } = this.#below.shouldSample(
      context,
      parent.traceId,
      '',
      SpanKind.SERVER,
      {},
      [],
    );
    return decision === SamplingDecision.RECORD_AND_SAMPLED;
  }
}

function makeSampler(name: string, ratio: number): OtelSampler {
  const share = new TraceIdRatioBasedSampler(ratio);
  switch (name) {
    case 'always_on':
      return new AlwaysOnSampler();
    case 'always_off':
      return new AlwaysOffSampler();
    case 'traceidratio':
      return share;
    default:
      // A caller's trace has a flag that decides.
      return new ParentBasedSampler({ root: new AlwaysOffSampler() });
  }
}

function titleOf(name: SpanStart['name'], of: string | undefined): string {
  if (name === 'rpc') return of ?? name;
  return of === undefined ? name : `${name} ${of}`;
}

/** Returns undefined for a context that is not well-formed; a new trace then begins. It may come from anywhere. */
function toContext(given: TraceContext): SpanContext | undefined {
  const { traceparent, tracestate }: Readonly<Record<string, unknown>> = { ...given };
  const parsed = typeof traceparent === 'string' ? parseTraceParent(traceparent) : undefined;
  if (!parsed) return undefined;
  const traceState = typeof tracestate === 'string' ? createTraceState(tracestate) : undefined;
  return { ...parsed, isRemote: true, ...(traceState && { traceState }) };
}

function toLink(context: TraceContext): Link | undefined {
  const parsed = toContext(context);
  return parsed && { context: parsed };
}
