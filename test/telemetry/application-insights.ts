// A receiver of what Application Insights takes: lines of JSON, compressed, at /v2.1/track.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import type { ReceivedLog, ReceivedMetric, ReceivedSpan, Receiver } from './received.js';
import { listening, readBody } from './server.js';

// biome-ignore lint/suspicious/noExplicitAny: messages of any form.
type Json = Record<string, any>;

/** Starts a receiver with TLS, since the exporter speaks nothing else. */
export async function openApplicationInsights(certificate: {
  key: string;
  cert: string;
}): Promise<
  Receiver & { readonly envelopes: readonly Json[]; readonly paths: ReadonlySet<string> }
> {
  const envelopes: Json[] = [];
  const paths = new Set<string>();
  const spans: ReceivedSpan[] = [];
  const metrics: ReceivedMetric[] = [];
  const logs: ReceivedLog[] = [];
  const { key, cert } = certificate;
  const server = createServer({ key: readFileSync(key), cert: readFileSync(cert) });
  server.on('request', async (request, response) => {
    paths.add(request.url ?? '');
    const sent = await readBody(request);
    const body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(sent) : sent;
    const items = linesOf(String(body));
    for (const envelope of items) {
      envelopes.push(envelope);
      const { baseType } = envelope.data;
      if (/^(Request|RemoteDependency)Data$/.test(baseType))
        spans.push(spanIn(envelope, envelopes));
      else if (baseType === 'MetricData') metrics.push(...metricsIn(envelope));
      else if (baseType === 'MessageData') logs.push(logIn(envelope));
    }
    const answer = { itemsReceived: items.length, itemsAccepted: items.length, errors: [] };
    response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(answer));
  });
  await listening(server);
  const { port } = server.address() as AddressInfo;
  const endpoint = `https://localhost:${port}/`;
  return {
    ...{ spans, metrics, logs, envelopes, paths },
    environment: {
      NODE_EXTRA_CA_CERTS: cert,
      APPLICATIONINSIGHTS_CONNECTION_STRING: `InstrumentationKey=11111111-2222-3333-4444-555555555555;IngestionEndpoint=${endpoint};LiveEndpoint=${endpoint}`,
      OTEL_METRIC_EXPORT_INTERVAL: '500',
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The exporter sends a list or lines. */
function linesOf(body: string): Json[] {
  if (body.startsWith('[')) return JSON.parse(body);
  return body
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}

function spanIn({ tags, time, data }: Json, envelopes: readonly Json[]): ReceivedSpan {
  const { id, name, duration, success, properties = {}, type } = data.baseData;
  const links = JSON.parse(properties['_MS.links'] ?? '[]');
  return {
    traceId: tags['ai.operation.id'],
    spanId: id,
    parentId: tags['ai.operation.parentId'],
    name,
    kind: data.baseType === 'RequestData' ? 'request' : String(type),
    service: tags['ai.cloud.role'],
    startAt: Date.parse(time),
    ms: msOf(duration),
    isFailed: success === false,
    attributes: properties,
    links: links.map((link: Json) => link.id),
    // Events come as messages below their span.
    get events() {
      return envelopes
        .filter((each) => each.data.baseType === 'MessageData')
        .filter((each) => each.tags['ai.operation.parentId'] === id)
        .map((each) => each.data.baseData.message);
    },
  };
}

/** "0.00:00:01.234" or "00:00:01.234" */
function msOf(duration: string): number {
  const [seconds = 0, minutes = 0, hours = 0] = duration
    .replace(/^\d+\./, '')
    .split(':')
    .toReversed()
    .map(Number);
  return (hours * 3600 + minutes * 60 + seconds) * 1000;
}

function metricsIn({ tags, data }: Json): ReceivedMetric[] {
  const { metrics, properties } = data.baseData;
  return metrics.map(({ name, value, count }: Json) => ({
    ...{ name, value, count },
    service: tags['ai.cloud.role'],
    attributes: properties,
  }));
}

function logIn({ tags, data }: Json): ReceivedLog {
  const { message, severityLevel, properties = {} } = data.baseData;
  return {
    text: message,
    severity: String(severityLevel),
    service: tags['ai.cloud.role'],
    traceId: tags['ai.operation.id'],
    spanId: tags['ai.operation.parentId'],
    attributes: properties,
  };
}
