import {
  AlwaysOnSampler,
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { expect, test } from 'vitest';
import { readConfiguration } from '../../shared/configuration/configuration.js';
import { makeTracer } from '../../shared/telemetry/tracer.js';

const sampled = { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' };
const unsampled = { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00' };
const start = { name: 'POST', startAt: 1_700_000_000_000.5 } as const;

function makeScene(environment: NodeJS.ProcessEnv = {}, isAzure = false) {
  const exporter = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({
    sampler: new AlwaysOnSampler(),
    spanProcessors: [new SimpleSpanProcessor(exporter)],
  });
  const configuration = readConfiguration('api', environment);
  const tracer = makeTracer(provider.getTracer('test'), { configuration, isAzure });
  return { tracer, spans: () => exporter.getFinishedSpans() };
}

test.each([
  ['always_on', [true, true, true]],
  ['always_off', [false, false, false]],
  ['traceidratio', [false, false, false]],
  ['parentbased_always_on', [true, true, false]],
  ['parentbased_always_off', [false, true, false]],
  ['parentbased_traceidratio', [false, true, false]],
])('%s decides alone, with a traced caller, and with one that is not', (name, expected) => {
  const { tracer } = makeScene({ OTEL_TRACES_SAMPLER: name, OTEL_TRACES_SAMPLER_ARG: '0' });
  const decide = (caller?: typeof sampled) => tracer.samples(caller);
  expect([decide(), decide(sampled), decide(unsampled)]).toEqual(expected);
});

test('a share of requests is traced', () => {
  const { tracer } = makeScene({
    OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
    OTEL_TRACES_SAMPLER_ARG: '0.05',
  });
  const traced = Array.from({ length: 20_000 }, () => tracer.samples(undefined));
  const share = traced.filter(Boolean).length / traced.length;
  // The standard deviation is 0.0015.
  expect(share).toBeGreaterThan(0.04);
  expect(share).toBeLessThan(0.06);
});

test.each([
  'hello',
  '00-00000000000000000000000000000000-00f067aa0ba902b7-01',
  'ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
])('a caller whose traceparent is %s gets a trace of our own', (traceparent) => {
  const { tracer, spans } = makeScene();
  const caller = { traceparent, tracestate: 'a=1' };
  expect(tracer.samples(caller)).toBe(true);
  const span = tracer.begin(start, caller);
  span.end(start.startAt + 1);
  expect(span.traceId).toMatch(/^[0-9a-f]{32}$/);
  expect(traceparent).not.toContain(span.traceId);
  expect(spans()[0]?.parentSpanContext).toBeUndefined();
});

test.each([{}, { traceparent: 7 }, { traceparent: null, tracestate: 3 }, 'text', 5, []])(
  'what stands for a trace on the wire may be anything: %j',
  (given) => {
    const { tracer, spans } = makeScene();
    tracer.start({ name: 'process', startAt: 5 }, given as never).end(6);
    expect(spans()).toHaveLength(1);
  },
);

test('tracestate travels on', () => {
  const { tracer } = makeScene();
  const span = tracer.begin(start, { ...sampled, tracestate: 'vendor=1,other=2' });
  expect(span.context.tracestate).toBe('vendor=1,other=2');
});

test('without propagators, callers are not followed', () => {
  const { tracer } = makeScene({ OTEL_PROPAGATORS: 'none' });
  expect(tracer.begin(start, sampled).traceId).not.toContain('4bf92f');
});

test('a span ends once, and never before it began', () => {
  const { tracer, spans } = makeScene();
  const span = tracer.start(start);
  span.end(start.startAt - 1000);
  span.end(start.startAt + 1000);
  expect(spans().map(({ duration }) => duration)).toEqual([[0, 0]]);
});

test('Azure Monitor learns for how many requests a sampled one stands', () => {
  const share = { OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.5' };
  const { tracer, spans } = makeScene(share, true);
  tracer.begin(start, undefined).end(start.startAt);
  expect(spans()[0]?.attributes['_MS.sampleRate']).toBe(50);
});
