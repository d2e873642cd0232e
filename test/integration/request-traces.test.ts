// The spans of requests over HTTP and gRPC, made by OpenTelemetry's SDK.

import {
  AlwaysOnSampler,
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { expect, test } from 'vitest';
import { makeRequestTraces } from '../../api/traces/requests.js';
import { readConfiguration } from '../../shared/configuration/configuration.js';
import { ScorelineError } from '../../shared/errors.js';
import { makeTracer } from '../../shared/telemetry/tracer.js';
import { ask, post, waitUntil } from '../harness.js';
import { askGrpc } from './grpc-client.js';
import { openScene } from './http-scene.js';

const score = '/v1/models/text/score';
const callerTrace = '4bf92f3577b34da6a3ce929d0e0e4736';
const traceparent = `00-${callerTrace}-00f067aa0ba902b7-01`;

function makeTraces(environment: NodeJS.ProcessEnv = {}, slowMs?: number) {
  const exporter = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({
    sampler: new AlwaysOnSampler(),
    spanProcessors: [new SimpleSpanProcessor(exporter)],
  });
  const configuration = readConfiguration('api', environment);
  const tracer = makeTracer(provider.getTracer('test'), { configuration, isAzure: false });
  const spans = () => exporter.getFinishedSpans();
  const server = async () => {
    await waitUntil('the request has departed', () => spans().some(({ kind }) => kind === 1));
    return spans().find(({ kind }) => kind === 1);
  };
  return { traces: makeRequestTraces(tracer, { slowMs }), spans, server };
}

test('a request by HTTP says which route, model and caller it is', async () => {
  const { traces, server } = makeTraces();
  const { url } = await openScene({ traces });
  const { headers } = await post(`${url}${score}?secret=1`, { input: 'a' }, { traceparent });
  const span = await server();
  expect(headers.get('traceresponse')).toBe(`00-${callerTrace}-${span?.spanContext().spanId}-01`);
  expect(span?.name).toBe('POST /v1/models/{model}/score');
  expect(span?.parentSpanContext?.spanId).toBe('00f067aa0ba902b7');
  expect(span?.attributes).toMatchObject({
    'http.request.method': 'POST',
    'http.route': '/v1/models/{model}/score',
    'http.response.status_code': 200,
    'url.path': score,
    'scoreline.model.name': 'text',
    'scoreline.request.id': headers.get('x-request-id'),
  });
  expect(JSON.stringify(span?.attributes)).not.toContain('secret');
});

test('a request by gRPC continues the trace in its metadata', async () => {
  const { traces, server } = makeTraces();
  const { grpcPort } = await openScene({ traces, grpc: true });
  const answer = await askGrpc(grpcPort, 'ServerMetadata', Buffer.alloc(0), {
    metadata: { traceparent },
  });
  const span = await server();
  expect(answer.metadata.traceresponse).toContain(callerTrace);
  expect(span?.name).toBe('inference.GRPCInferenceService/ServerMetadata');
  expect(span?.parentSpanContext?.spanId).toBe('00f067aa0ba902b7');
  expect(span?.attributes).toMatchObject({
    'rpc.system': 'grpc',
    'rpc.method': 'ServerMetadata',
    'rpc.grpc.status_code': 0,
  });
});

test.each([['/'], ['/v2/health/live'], ['/v2/health/ready']])(
  'a probe of %s is not traced',
  async (path) => {
    const { traces, spans, server } = makeTraces();
    const { url } = await openScene({ traces });
    await ask(`${url}${path}`);
    await ask(`${url}/v1/models`);
    await server();
    expect(spans().map(({ name }) => name)).toEqual(['GET']);
  },
);

test('another method keeps names few', async () => {
  const { traces, server } = makeTraces();
  const { url } = await openScene({ traces });
  await ask(`${url}${score}`, { method: 'PATCH' });
  const span = await server();
  expect(span?.name).toBe('HTTP');
  expect(span?.attributes).toMatchObject({
    'http.request.method': '_OTHER',
    'http.request.method_original': 'PATCH',
  });
});

test('a mistake of a client is no failure of the service', async () => {
  const { traces, server } = makeTraces();
  const { url } = await openScene({ traces });
  await post(`${url}${score}`, { input: 7 });
  const span = await server();
  expect(span?.status.code).toBe(0);
  expect(span?.attributes).toMatchObject({
    'error.type': 'input_invalid',
    'http.response.status_code': 400,
  });
});

const leftOut = { OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '0' };
const fails = () => [Promise.reject(new ScorelineError('model_crashed', 'It crashed.'))];

test('a request that was left out and fails is sent after all, alone, in the trace of its client', async () => {
  const { traces, spans, server } = makeTraces(leftOut);
  const { url, logged } = await openScene({ traces, submit: fails });
  await post(`${url}${score}`, { input: 'a' }, { traceparent });
  const span = await server();
  const [line] = logged.splice(0);
  expect(JSON.parse(line ?? '{}')).toMatchObject({ traceId: callerTrace, code: 'model_crashed' });
  expect(span?.spanContext().traceId).toBe(callerTrace);
  expect(span?.attributes['scoreline.kept_for']).toBe('error');
  expect(span?.status.code).toBe(2);
  expect(spans()).toHaveLength(1);
});

test('so is one that is slow, with where its time went', async () => {
  const { traces, server } = makeTraces(leftOut, 0);
  const { url } = await openScene({ traces });
  await post(`${url}${score}`, { input: 'a' });
  expect((await server())?.attributes).toMatchObject({
    'scoreline.kept_for': 'slow',
    'scoreline.queue_ms': expect.any(Number),
    'scoreline.compute_ms': expect.any(Number),
  });
});

test('with always_off, nothing is sent whatever happens', async () => {
  const { traces, spans } = makeTraces({ OTEL_TRACES_SAMPLER: 'always_off' });
  const { url, logged } = await openScene({ traces, submit: fails });
  await post(`${url}${score}`, { input: 'a' }, { traceparent });
  await waitUntil('it is logged', () => logged.length > 0);
  logged.splice(0);
  expect(spans()).toEqual([]);
});

test('many failures at once send few spans', async () => {
  const { traces, spans } = makeTraces(leftOut);
  const { url, logged } = await openScene({ traces, submit: fails });
  const before = Math.floor(Date.now() / 1000);
  await Promise.all(Array.from({ length: 100 }, () => post(`${url}${score}`, { input: 'a' })));
  await waitUntil('they are logged', () => logged.length > 0);
  logged.splice(0);
  const seconds = Math.floor(Date.now() / 1000) - before + 1;
  expect(spans().length).toBeGreaterThan(0);
  expect(spans().length).toBeLessThanOrEqual(10 * seconds);
});
