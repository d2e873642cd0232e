// Traces, metrics and logs of a real service, as real receivers get them.

import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { poisonText } from '../../chaos/poison.js';
import type { Child } from '../../cli/processes/children.js';
import { hasOpenSsl, makeCertificate } from '../certificate.js';
import { hangsForever } from '../failures/counter.js';
import { type Scene, withScene } from '../failures/scene.js';
import { openRedis, post, root, type Service, startService, waitUntil } from '../harness.js';
import { writeFolder } from '../unit/sample-model.js';
import { openApplicationInsights } from './application-insights.js';
import { drawTrace, shapeOf } from './draw.js';
import { openOtlpReceiver } from './otlp.js';
import type { ReceivedSpan, Receiver } from './received.js';

const score = '/v1/models/faq-matcher/score';
const text = { input: 'how do I copy an object?' };
const callerTrace = '4bf92f3577b34da6a3ce929d0e0e4736';
const traceparent = `00-${callerTrace}-00f067aa0ba902b7-01`;

/** Starts a service that sends its telemetry to a receiver, and ends both after the test. */
async function withService(
  receiver: Receiver,
  environment: NodeJS.ProcessEnv,
  use: (service: Service) => Promise<void>,
): Promise<void> {
  const redis = await openRedis();
  let service: Service | undefined;
  try {
    service = await startService({
      redisUrl: redis.url,
      models: 'faq-matcher',
      environment: { LOG_LEVEL: 'info', ...receiver.environment, ...environment },
    });
    await use(service);
  } finally {
    await service?.close();
    await receiver.close();
    await redis.close();
  }
}

const inTrace = (receiver: Receiver, traceId: string) =>
  receiver.spans.filter((span) => span.traceId === traceId);
const named = (spans: readonly ReceivedSpan[], name: string) =>
  spans.find((span) => span.name === name || span.name.startsWith(`${name} `)) as ReceivedSpan;

/** Waits for all of a request's spans, and for the batch that ran its item. */
async function untilTraced(receiver: Receiver, traceId: string): Promise<ReceivedSpan[]> {
  await waitUntil('the trace is whole', () => {
    const names = inTrace(receiver, traceId).map(({ name }) => name.split(' ', 1)[0]);
    return ['POST', 'prepare', 'send', 'queue', 'process', 'run', 'reply'].every((name) =>
      names.includes(name),
    );
  });
  const spans = inTrace(receiver, traceId);
  const batches = spans.flatMap(({ links }) => links);
  await waitUntil('the batch is there', () =>
    batches.every((id) => receiver.spans.some(({ spanId }) => spanId === id)),
  );
  return [...spans, ...receiver.spans.filter(({ spanId }) => batches.includes(spanId))];
}

function expectWhole(spans: readonly ReceivedSpan[]): void {
  const of = (name: string) => named(spans, name);
  const request = of('POST');
  expect(request.parentId).toBe('00f067aa0ba902b7');
  for (const name of ['prepare', 'send']) expect(of(name).parentId).toBe(request.spanId);
  for (const name of ['queue', 'process']) expect(of(name).parentId).toBe(of('send').spanId);
  for (const name of ['wait', 'run', 'reply']) {
    expect(of(name).parentId).toBe(of('process').spanId);
  }
  expect(of('process').links).toEqual([of('batch').spanId]);
  expect(of('batch').links).toContain(of('process').spanId);
  expect(request.service).toMatch(/scoreline-api$/);
  expect(of('process').service).toMatch(/scoreline-worker$/);
  expect(request.attributes['scoreline.model.name']).toBe('faq-matcher');
  expect(spans.filter(({ isFailed }) => isFailed)).toEqual([]);
}

/** Metrics of both roles, and the line of the log about a failed request, with its trace. */
async function expectMetricsAndLogs(receiver: Receiver, failed: string): Promise<void> {
  const has = (name: string, service: string) =>
    receiver.metrics.some(
      (metric) => metric.name === name && metric.service.endsWith(service) && metric.value > 0,
    );
  await waitUntil('the metrics are there', () =>
    [
      ['scoreline_requests_total', 'api'],
      ['scoreline_request_duration_seconds', 'api'],
      ['scoreline_run_duration_seconds', 'worker'],
      ['scoreline_worker_state', 'worker'],
    ].every(([name, service]) => has(name as string, service as string)),
  );
  await waitUntil('the line is there', () =>
    receiver.logs.some(({ traceId }) => traceId === failed),
  );
  expect(receiver.logs.find(({ traceId }) => traceId === failed)).toMatchObject({
    text: 'a request failed',
    attributes: { code: 'input_missing', advice: expect.any(String) },
  });
  const [own] = inTrace(receiver, failed);
  expect(receiver.logs.find(({ traceId }) => traceId === failed)?.spanId).toBe(own?.spanId);
}

describe('one request', () => {
  const fail = async ({ url }: Service) => {
    const { headers } = await post(`${url}${score}`, { other: 1 });
    return headers.get('traceresponse')?.split('-')[1] as string;
  };

  test.skipIf(!hasOpenSsl())(
    'is the same trace in Application Insights and by OTLP in JSON, when both are asked for',
    async () => {
      const folder = writeFolder({});
      const { key, certificate } = makeCertificate(folder);
      const azure = await openApplicationInsights({ key, cert: certificate });
      const otlp = await openOtlpReceiver('http/json');
      try {
        await withService(azure, otlp.environment, async (service) => {
          const { headers } = await post(`${service.url}${score}`, text, {
            ...{ traceparent, tracestate: 'vendor=1' },
          });
          expect(headers.get('traceresponse')).toMatch(new RegExp(`^00-${callerTrace}-`));
          const failed = await fail(service);
          await expectSharedBatch(otlp, service.url);
          // What Azure's exporter has gathered, it would send only every five seconds.
          await service.close();
          for (const receiver of [azure, otlp]) {
            expectWhole(await untilTraced(receiver, callerTrace));
            await expectMetricsAndLogs(receiver, failed);
          }
          const idsOf = (receiver: Receiver) =>
            inTrace(receiver, callerTrace)
              .map(({ spanId }) => spanId)
              .toSorted();
          expect(idsOf(azure)).toEqual(idsOf(otlp));
          // Nothing but what we mean to send: no live metrics, no reports of its own use.
          expect([...azure.paths]).toEqual(['/v2.1/track']);
        });
      } finally {
        await otlp.close();
        rmSync(folder, { recursive: true, force: true });
      }
    },
  );
});

/** Asks until requests have shared a batch, which is then linked to their items and they to it. */
async function expectSharedBatch(receiver: Receiver, url: string): Promise<void> {
  const shares = () =>
    receiver.spans.find(({ name, links }) => name.startsWith('batch ') && links.length > 1);
  await waitUntil('a batch is shared', async () => {
    await Promise.all(Array.from({ length: 32 }, () => post(`${url}${score}`, text)));
    return shares() !== undefined;
  });
  const batch = shares() as ReceivedSpan;
  await waitUntil('its items are there', () =>
    batch.links.every((id) => receiver.spans.some(({ spanId }) => spanId === id)),
  );
  const items = receiver.spans.filter(({ spanId }) => batch.links.includes(spanId));
  expect(new Set(items.map(({ traceId }) => traceId)).size).toBe(items.length);
  for (const { links } of items) expect(links).toEqual([batch.spanId]);
  expect(batch.attributes['scoreline.batch.items']).toBe(items.length);
}

describe('the trace of a request', () => {
  let receiver: Receiver;
  beforeAll(async () => {
    receiver = await openOtlpReceiver('http/json');
  });
  afterAll(() => receiver.close());
  const spansOf = (name: string) =>
    receiver.spans.filter((span) => span.name.startsWith(`${name} counter@`));

  test('shows a killed worker, a client that hung up, an input that crashes and a deadline', async () => {
    // A run begins soon after its input is held, which need not wait for others then.
    const counter = { batchMax: 1 };
    const { environment } = receiver;
    await withScene({ counter, poisonable: true, environment }, async (scene) => {
      const hangUp = new AbortController();
      scene.count(hangsForever, { signal: hangUp.signal }).catch(() => {});
      const [victim] = scene.service.workers as [Child];
      // An input that nobody waits for any more is not run.
      await scene.untilRunning(victim);
      const held = scene.count('3');
      await scene.untilHeld(2);
      hangUp.abort();
      await scene.service.addWorker();
      victim.kill('SIGKILL');
      const { status, headers } = await held;
      expect(status).toBe(200);
      const traceId = headers.get('traceresponse')?.split('-')[1] as string;
      const recovered = () => spansOf('process').find((span) => span.traceId === traceId);
      await waitUntil('the second worker has told', () => recovered() !== undefined);
      expect(recovered()).toMatchObject({
        attributes: { 'scoreline.recovered': true, 'scoreline.quarantined': true },
        events: ['worker_lost'],
        isFailed: false,
      });
      const closed = () => receiver.spans.find(({ events }) => events.includes('cancelled'));
      await waitUntil('the hang-up is there', () => closed() !== undefined);
      await waitUntil('the dropped item is there', () =>
        spansOf('process').some(
          ({ attributes }) => attributes['scoreline.dropped'] === 'cancelled',
        ),
      );
      await expectCrash(scene);
    });
  });

  /** An input that crashes the only worker, a deadline that passes meanwhile, and another worker. */
  async function expectCrash(scene: Scene): Promise<void> {
    const survivor = scene.service.workers.at(-1) as Child;
    const crash = scene.ask({ text: poisonText('crash', 'a'), expected: [] });
    await survivor.exited;
    const late = await scene.count('4', { deadlineMs: 300 });
    expect(late.status).toBe(504);
    await scene.service.addWorker();
    expect((await crash).body.code).toBe('model_crashed');
    const crashed = () =>
      receiver.spans.find(({ events }) => events.includes('quarantine_crashed'));
    await waitUntil('the crash is there', () => crashed() !== undefined);
    expect(crashed()).toMatchObject({
      isFailed: true,
      attributes: { 'error.type': 'model_crashed', 'scoreline.recovered': true },
    });
    expect(crashed()?.events.filter((name) => name === 'quarantine_crashed')).toHaveLength(2);
    const passed = () =>
      receiver.spans.find(({ attributes }) => attributes['error.type'] === 'deadline_exceeded');
    await waitUntil('the deadline is there', () => passed() !== undefined);
    expect(passed()?.events).toContain('deadline_exceeded');
  }
});

describe('with a sampler that leaves all out', () => {
  test('only callers that are traced themselves are, and failures of the service', async () => {
    const receiver = await openOtlpReceiver('http/protobuf');
    const environment = {
      OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
      OTEL_TRACES_SAMPLER_ARG: '0',
      TRACES_SLOW_MS: '60000',
    };
    await withService(receiver, environment, async (service) => {
      const { url } = service;
      const quiet = await post(`${url}${score}`, text);
      for (let at = 0; at < 20; at++) await post(`${url}${score}`, text);
      expect(quiet.headers.get('traceresponse')).toBeNull();
      const mistake = await post(`${url}${score}`, { other: 1 });
      expect(mistake.status).toBe(400);
      const late = await post(`${url}${score}?deadlineMs=1`, text);
      expect(late.status).toBe(504);
      await post(`${url}${score}`, text, { traceparent });
      const spans = await untilTraced(receiver, callerTrace);
      expectWhole(spans);
      expectDrawn(spans);
      const others = () =>
        receiver.spans.filter(
          ({ name, traceId }) => traceId !== callerTrace && !name.startsWith('batch'),
        );
      await waitUntil('the failure is there', () => others().length > 0);
      expect(others()).toMatchObject([
        { isFailed: true, attributes: { 'scoreline.kept_for': 'error' } },
      ]);
      const line = service.log.find(({ code }) => code === 'deadline_exceeded');
      expect(line?.traceId).toBe(others()[0]?.traceId);
    });
  });
});

test('an endpoint that refuses harms nobody', async () => {
  const receiver = await openOtlpReceiver('http/json', 503);
  await withService(receiver, {}, async (service) => {
    for (let at = 0; at < 20; at++) {
      expect((await post(`${service.url}${score}`, text)).status).toBe(200);
    }
    await waitUntil('it is asked', () => receiver.requests > 0);
    await waitUntil('the log says so', () =>
      service.log.some(({ msg, advice }) => msg === 'telemetry could not be sent' && advice),
    );
    await receiver.close();
    expect((await post(`${service.url}${score}`, text)).status).toBe(200);
    const endedAt = performance.now();
    await service.close();
    // SHUTDOWN_MS would be 35 s. What cannot be sent costs 2 s for each role.
    expect(performance.now() - endedAt).toBeLessThan(30_000);
    expect(await service.api.exited).toBe(0);
  });
});

test('the log says so if spans come faster than the endpoint takes them', async () => {
  const receiver = await openOtlpReceiver('http/json');
  const tiny = { OTEL_BSP_MAX_QUEUE_SIZE: '1', OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '1' };
  await withService(receiver, tiny, async (service) => {
    await waitUntil('the log says so', async () => {
      expect((await post(`${service.url}${score}`, text)).status).toBe(200);
      return service.log.some(({ reason }) => /^Dropped \d+ spans/.test(String(reason)));
    });
  });
});

/** Compares the trace with the one in the documentation, or draws that anew. */
function expectDrawn(spans: readonly ReceivedSpan[]): void {
  const file = path.join(root, 'docs', 'trace.txt');
  const drawing = `${drawTrace(spans)}\n`;
  if (process.env.DRAW_TRACE) writeFileSync(file, drawing);
  expect(shapeOf(drawing)).toBe(shapeOf(readFileSync(file, 'utf8')));
}
