// A receiver of OTLP over HTTP, in JSON or in protobuf.

import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import protobuf from 'protobufjs';
import { root } from '../harness.js';
import type { ReceivedLog, ReceivedMetric, ReceivedSpan, Receiver } from './received.js';
import { listening, readBody } from './server.js';

// biome-ignore lint/suspicious/noExplicitAny: messages of any form.
type Json = Record<string, any>;

/** Starts a receiver. It answers with this status, and takes nothing unless that is 200. */
export async function openOtlpReceiver(
  protocol: 'http/json' | 'http/protobuf',
  status = 200,
): Promise<Receiver & { readonly requests: number }> {
  const spans: ReceivedSpan[] = [];
  const metrics: ReceivedMetric[] = [];
  const logs: ReceivedLog[] = [];
  let requests = 0;
  const server = createServer(async (request, response) => {
    requests++;
    const body = await readBody(request);
    if (status === 200) take(request, body);
    response.writeHead(status, { 'Content-Type': 'application/json' }).end('{}');
  });
  const take = (request: IncomingMessage, sent: Buffer) => {
    const signal = (request.url ?? '').split('/').at(-1) as Signal;
    const body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(sent) : sent;
    const isJson = request.headers['content-type']?.includes('json') ?? false;
    if (isJson !== (protocol === 'http/json')) throw new Error('It came by another protocol.');
    const message = isJson ? JSON.parse(String(body)) : decode(signal, body);
    if (signal === 'traces') spans.push(...spansIn(message));
    if (signal === 'metrics') metrics.push(...metricsIn(message));
    if (signal === 'logs') logs.push(...logsIn(message));
  };
  await listening(server);
  const { port } = server.address() as AddressInfo;
  return {
    ...{ spans, metrics, logs },
    get requests() {
      return requests;
    },
    environment: {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
      OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
      OTEL_BSP_SCHEDULE_DELAY: '100',
      OTEL_BLRP_SCHEDULE_DELAY: '100',
      OTEL_METRIC_EXPORT_INTERVAL: '500',
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

type Signal = 'traces' | 'metrics' | 'logs';

const types = { traces: 'Traces', metrics: 'Metrics', logs: 'Logs' } as const;
const { root: proto } = protobuf.parse(
  readFileSync(path.join(root, 'test', 'telemetry', 'otlp.proto'), 'utf8'),
);

/** Returns a message as its JSON has it. */
function decode(signal: Signal, bytes: Buffer): Json {
  const type = proto.lookupType(types[signal]);
  const message = type.toObject(type.decode(bytes), { longs: String, bytes: String });
  return JSON.parse(JSON.stringify(message), (key, value) =>
    /^(traceId|spanId|parentSpanId)$/.test(key)
      ? Buffer.from(value, 'base64').toString('hex')
      : value,
  );
}

function* spansIn({ resourceSpans = [] }: Json): Generator<ReceivedSpan> {
  for (const { resource, scopeSpans } of resourceSpans) {
    for (const span of scopeSpans.flatMap((scope: Json) => scope.spans ?? [])) {
      const startAt = Number(span.startTimeUnixNano) / 1e6;
      yield {
        traceId: span.traceId,
        spanId: span.spanId,
        parentId: span.parentSpanId || undefined,
        name: span.name,
        kind: ['', 'internal', 'server', 'client', 'producer', 'consumer'][span.kind] as string,
        service: serviceOf(resource),
        startAt,
        ms: Number(span.endTimeUnixNano) / 1e6 - startAt,
        isFailed: span.status?.code === 2,
        attributes: toObject(span.attributes),
        links: (span.links ?? []).map(({ spanId }: Json) => spanId),
        events: (span.events ?? []).map(({ name }: Json) => name),
      };
    }
  }
}

function* metricsIn({ resourceMetrics = [] }: Json): Generator<ReceivedMetric> {
  for (const { resource, scopeMetrics } of resourceMetrics) {
    for (const metric of scopeMetrics.flatMap((scope: Json) => scope.metrics ?? [])) {
      const { dataPoints } = metric.sum ?? metric.gauge ?? metric.histogram;
      for (const { attributes, asDouble, asInt, sum, count } of dataPoints ?? []) {
        yield {
          name: metric.name,
          service: serviceOf(resource),
          attributes: toObject(attributes),
          value: Number(sum ?? asDouble ?? asInt ?? 0),
          count: count === undefined ? undefined : Number(count),
        };
      }
    }
  }
}

function* logsIn({ resourceLogs = [] }: Json): Generator<ReceivedLog> {
  for (const { resource, scopeLogs } of resourceLogs) {
    for (const record of scopeLogs.flatMap((scope: Json) => scope.logRecords ?? [])) {
      yield {
        text: record.body?.stringValue ?? '',
        severity: record.severityText,
        service: serviceOf(resource),
        traceId: record.traceId || undefined,
        spanId: record.spanId || undefined,
        attributes: toObject(record.attributes),
      };
    }
  }
}

function serviceOf({ attributes }: Json): string {
  return String(toObject(attributes)['service.name']);
}

function toObject(attributes: Json[] = []): Record<string, unknown> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => {
      const [kind, given] = Object.entries(value)[0] as [string, unknown];
      return [key, kind === 'intValue' ? Number(given) : given];
    }),
  );
}
