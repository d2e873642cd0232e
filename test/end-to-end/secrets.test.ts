// What a client sends in confidence, and what the operator gives in confidence, comes out nowhere: not in
// the log at its most talkative, and credentials not in answers either. With real processes.

import { afterAll, beforeAll, expect, test } from 'vitest';
import { openRedisForAll, type Service, startService, waitUntil } from '../harness.js';
import { createKey } from '../keys-command.js';
import { makeProcess } from '../redis/process.js';
import { openOtlpReceiver } from '../telemetry/otlp.js';
import type { Receiver } from '../telemetry/received.js';

/** Each is planted in one place. */
const planted = {
  redisPassword: 'PLANTED-redis-password',
  header: 'PLANTED-header',
  cookie: 'PLANTED-cookie',
  proxyPassword: 'PLANTED-proxy-password',
  token: 'eyJhbGciOiJub25lIn0.UExBTlRFRC10b2tlbg.UExBTlRFRC1zaWduYXR1cmU',
  wrongKey: 'scl_PLANTEDkey_PLANTEDsecretPLANTEDsecretPLANTEDs00',
  idempotencyKey: 'PLANTED-idempotency-key',
  query: 'PLANTED-query',
  text: 'PLANTED-text',
  jsonKey: 'PLANTED-json-key',
  brokenJson: 'PLANTED-broken-json',
  fieldName: 'PLANTED-field-name',
  fileName: 'PLANTED-file-name',
  bytes: 'PLANTED-bytes',
  base64: Buffer.from('PLANTED-base64').toString('base64'),
};
const credentials = ['redisPassword', 'cookie', 'proxyPassword', 'token', 'wrongKey'] as const;

const redis = await openRedisForAll({ make: makeProcess });
let receiver: Receiver;
let service: Service;
let key: string;

beforeAll(async () => {
  await redis.client.config('SET', 'requirepass', planted.redisPassword);
  receiver = await openOtlpReceiver('http/json');
  const environment = {
    ...receiver.environment,
    ...{ AUTH: 'keys', LOG_LEVEL: 'trace', REDIS_PASSWORD: planted.redisPassword },
    OTEL_EXPORTER_OTLP_HEADERS: `authorization=${planted.header}`,
  };
  service = await startService({ redisUrl: redis.url, environment });
  key = await createKey([service.url], { ...environment, REDIS_URL: redis.url }, 'a');
});
afterAll(async () => {
  await service?.close();
  await receiver?.close();
});

test('no secret is in the log, and no credential in an answer', async () => {
  const answers: string[] = [];
  for (const request of requests()) {
    const response = await fetch(request);
    answers.push(`${[...response.headers].join('\n')}\n${await response.text()}`);
  }
  await redis.stop();
  for (const request of requests()) {
    const response = await fetch(request);
    answers.push(await response.text());
  }
  await waitUntil('each answer is logged', () => countAnswered() >= answers.length);

  await waitUntil(
    'telemetry is there',
    () => receiver.logs.length > 0 && receiver.spans.length > 0,
  );

  const { spans, logs, metrics } = receiver;
  const log = JSON.stringify([service.log, spans, logs, metrics]);
  const leaked = Object.entries({ ...planted, key }).filter(([, secret]) => log.includes(secret));
  expect(leaked).toEqual([]);
  for (const secret of [key, ...credentials.map((name) => planted[name])]) {
    expect(answers.filter((answer) => answer.includes(secret))).toEqual([]);
  }
});

const countAnswered = () =>
  service.log.filter(({ msg }) => /^(answered|a request (failed|was refused))$/.test(msg)).length;

/** Each body goes to each route with each way of saying who asks. */
function* requests(): Generator<Request> {
  const routes = ['/score', '/v1/models/faq-matcher/score', '/v1/models/efficientnet-lite0/score'];
  const callers = [
    { 'X-API-Key': key },
    { Authorization: `Bearer ${key}` },
    { Authorization: `Bearer ${planted.token}` },
    { 'X-API-Key': planted.wrongKey },
    {},
  ];
  for (const caller of callers) {
    const headers = new Headers({
      ...caller,
      Cookie: planted.cookie,
      'Proxy-Authorization': `Basic ${planted.proxyPassword}`,
      'Idempotency-Key': planted.idempotencyKey,
    });
    const mistaken = `/${encodeURIComponent(planted.token)}/${planted.wrongKey.replaceAll('_', '%5F')}`;
    for (const route of ['/', '/version', '/v1/models', '/v2/health/ready', mistaken]) {
      yield new Request(`${service.url}${route}?a=${planted.query}`, { headers });
    }
    for (const route of routes) {
      for (const [type, body] of bodies()) {
        const own = new Headers(headers);
        own.set('Idempotency-Key', `${planted.idempotencyKey}-${type ?? 'form'}-${route}`);
        if (type) own.set('Content-Type', type);
        const url = `${service.url}${route}?model=faq-matcher&a=${planted.query}`;
        yield new Request(url, { method: 'POST', headers: own, body });
      }
    }
  }
}

function* bodies(): Generator<[type: string | undefined, body: string | FormData]> {
  const json = 'application/json';
  yield [json, JSON.stringify({ input: planted.text })];
  yield [json, JSON.stringify({ input: { [planted.jsonKey]: planted.base64 } })];
  yield [json, JSON.stringify({ [planted.jsonKey]: planted.text, deadlineMs: planted.text })];
  yield [json, `{"input": "${planted.brokenJson}`];
  yield ['text/plain', planted.text];
  yield ['text/plain; charset=PLANTED-text', planted.text];
  yield ['image/jpeg', planted.bytes];
  yield [`application/${planted.text}`, planted.text];
  const form = new FormData();
  form.append(planted.fieldName, planted.text);
  form.append('file', new Blob([planted.bytes]), planted.fileName);
  yield [undefined, form];
}
