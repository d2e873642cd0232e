// Tests webhooks with real processes, a real Redis and real receivers.

import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import {
  openReceiver,
  type Receiver,
  type ReceiverAnswer,
  receiverSecret,
  receiverSettings,
} from '../../chaos/receiver.js';
import type { Child } from '../../cli/processes/children.js';
import {
  type Answer,
  ask,
  type LogLine,
  openRedisForAll,
  post,
  serviceEnvironment,
  startProcess,
  waitUntil,
} from '../harness.js';

const text = '/v1/models/faq-matcher/score';
const input = 'copy an object';
const otherSecret = `whsec_${Buffer.alloc(24, 'other').toString('base64')}`;

const redis = await openRedisForAll();
let sites = 0;
const children: Child[] = [];

afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  for (const receiver of receivers) await receiver.close();
});

interface Site {
  readonly url: string;
  readonly api: Child;
  readonly log: readonly LogLine[];
  start(role: 'api' | 'worker'): Promise<{ url: string; child: Child }>;
}

/** Starts an API whose queue is that of nobody else. */
async function openSite(
  allowed: readonly Receiver[],
  changes: NodeJS.ProcessEnv = {},
): Promise<Site> {
  const environment = serviceEnvironment({
    redisUrl: redis.url,
    models: 'faq-matcher',
    environment: {
      QUEUE_PREFIX: `webhooks-${++sites}`,
      LOG_LEVEL: 'silent',
      ...receiverSettings(...allowed),
      ...changes,
    },
  });
  const log: LogLine[] = [];
  const start: Site['start'] = async (role) => {
    const child = startProcess(role, environment, log);
    children.push(child);
    const { port } = await child.ready;
    return { child, url: `http://127.0.0.1:${port}` };
  };
  const { url, child: api } = await start('api');
  return { url, api, log, start };
}

const receivers: Receiver[] = [];

async function openOne(answer?: Parameters<typeof openReceiver>[0]): Promise<Receiver> {
  const receiver = await openReceiver(answer);
  receivers.push(receiver);
  return receiver;
}

/** Submits a job, and returns its id. */
async function submit(
  { url }: Pick<Site, 'url'>,
  webhook: string,
  { body = { input } as object, headers = {} } = {},
): Promise<string> {
  const answer = await post(url + text, body, {
    ...{ prefer: 'respond-async', 'webhook-url': webhook, ...headers },
  });
  expect(answer).toMatchObject({ status: 202, body: { state: expect.any(String) } });
  return answer.body.id;
}

const read = ({ url }: Pick<Site, 'url'>, job: string): Promise<Answer> =>
  ask(`${url}/v1/jobs/${job}`);

/** Waits until the webhook of a job is in a state. Returns what its owner is told of it. */
async function untilWebhook(site: Pick<Site, 'url'>, job: string, state: string) {
  let body: Answer['body'];
  await waitUntil(`the webhook of ${job} is ${state}`, async () => {
    ({ body } = await read(site, job));
    return body.webhook.state === state;
  });
  return body.webhook;
}

describe('a webhook', () => {
  let site: Site;
  let receiver: Receiver;

  beforeAll(async () => {
    receiver = await openOne();
    site = await openSite([receiver], { WEBHOOK_PAYLOAD_BYTES_MAX: '4096' });
    await site.start('worker');
  });

  test('has the document of the job, signed', async () => {
    const job = await submit(site, `${receiver.origin}/hook?of=me`);
    await untilWebhook(site, job, 'delivered');
    const [received, ...others] = receiver.of(job);
    expect(others).toEqual([]);
    expect(received).toMatchObject({
      ...{ isSigned: true, path: '/hook?of=me', id: expect.stringMatching(/^msg_[\w-]+$/) },
      headers: { 'content-type': 'application/json' },
    });
    const { type, timestamp, data } = received?.event ?? {};
    expect(type).toBe('job.succeeded');
    expect(Date.parse(timestamp)).toBeGreaterThanOrEqual(Date.parse(data.submittedAt));
    const { webhook, ...document } = (await read(site, job)).body;
    expect(data).toEqual({ ...document, location: `/v1/jobs/${job}` });
    expect(webhook).toEqual({
      ...{ url: `${receiver.origin}/hook?of=me`, state: 'delivered', attempts: 1 },
    });
  });

  test('comes also when the answer came in time', async () => {
    const answer = await post(
      site.url + text,
      { input },
      { prefer: 'wait=60', 'webhook-url': `${receiver.origin}/in-time` },
    );
    expect(answer.status).toBe(200);
    await waitUntil('the webhook is there', () =>
      receiver.received.some(({ path }) => path === '/in-time'),
    );
  });

  test('is without a result that is too large, and says where the job is', async () => {
    const job = await submit(site, receiver.origin, { body: { input, top: 147 } });
    await untilWebhook(site, job, 'delivered');
    const [{ event } = { event: undefined }] = receiver.of(job);
    expect(event).toMatchObject({
      type: 'job.succeeded',
      data: { state: 'succeeded', location: `/v1/jobs/${job}` },
    });
    expect(event.data.result).toBeUndefined();
    const { body } = await ask(site.url + event.data.location);
    expect(body.result.predictions).toHaveLength(147);
  });

  test('belongs to the request: a repeat with its key has it, and with another address is refused', async () => {
    const headers = { 'idempotency-key': 'once' };
    const job = await submit(site, `${receiver.origin}/a`, { headers });
    expect(await submit(site, `${receiver.origin}/a`, { headers })).toBe(job);
    const other = await post(
      site.url + text,
      { input },
      { ...headers, prefer: 'respond-async', 'webhook-url': `${receiver.origin}/b` },
    );
    expect(other).toMatchObject({ status: 422, body: { code: 'idempotency_key_reused' } });
    await untilWebhook(site, job, 'delivered');
    expect(receiver.of(job)).toHaveLength(1);
  });

  test('is one for those who send its request at the same time', async () => {
    const headers = { 'idempotency-key': 'at once' };
    const address = `${receiver.origin}/at-once`;
    const { url } = await site.start('api');
    const sites = Array.from({ length: 20 }, (_, at) => (at % 2 === 0 ? site : { url }));
    const jobs = await Promise.all(sites.map((each) => submit(each, address, { headers })));
    const [job = ''] = jobs;
    expect(new Set(jobs).size).toBe(1);
    await untilWebhook(site, job, 'delivered');
    // Until then, the API that made the job looks whether it has ended.
    await delay(6000);
    expect(new Set(receiver.of(job).map(({ id }) => id)).size).toBe(1);
  });

  test.each([
    ['no address', 'not an address', 'webhook_invalid'],
    ['another scheme', 'ftp://127.0.0.1/', 'webhook_invalid'],
    ['a user', 'https://user:secret@hooks.example.com/', 'webhook_invalid'],
    ['a fragment', 'https://hooks.example.com/#part', 'webhook_invalid'],
    ['a long address', `https://hooks.example.com/${'x'.repeat(2050)}`, 'webhook_invalid'],
    ['two addresses', 'https://a.example/, https://b.example/', 'webhook_invalid'],
    ['an address with a blank', 'https://hooks.example.com/a b', 'webhook_invalid'],
    ['nothing', '', 'webhook_invalid'],
    ['another host', 'https://hooks.example.com/', 'webhook_not_allowed'],
    ['another port', 'http://127.0.0.1:1/', 'webhook_not_allowed'],
    ['the metadata of a cloud', 'http://169.254.169.254/', 'webhook_not_allowed'],
    ['an address as a number', 'http://2130706433/', 'webhook_not_allowed'],
    ['IPv4 as IPv6', 'http://[::ffff:127.0.0.1]/', 'webhook_not_allowed'],
  ])('to %s is refused', async (_what, webhook, code) => {
    const headers = { prefer: 'respond-async', 'webhook-url': webhook };
    const answer = await post(site.url + text, { input }, headers);
    expect(answer).toMatchObject({ status: 400, body: { code } });
    expect(answer.body.detail).not.toMatch(/secret/);
  });

  test('of a request that becomes no job is refused', async () => {
    const answer = await post(site.url + text, { input }, { 'webhook-url': receiver.origin });
    expect(answer).toMatchObject({
      status: 400,
      body: { code: 'webhook_invalid', detail: expect.stringContaining('respond-async') },
    });
  });
});

test.concurrent('without WEBHOOK_HOSTS, a webhook is refused with what to do', async () => {
  const site = await openSite([], { WEBHOOK_HOSTS: '', WEBHOOK_SECRETS: '' });
  const headers = { prefer: 'respond-async', 'webhook-url': 'https://hooks.example.com/' };
  const answer = await post(site.url + text, { input }, headers);
  expect(answer).toMatchObject({
    status: 400,
    body: { code: 'webhook_not_allowed', detail: expect.stringContaining('WEBHOOK_HOSTS') },
  });
  expect((await ask(`${site.url}/v1/webhooks`)).body).toEqual({ hosts: [], dead: [] });
});

test.concurrent('a job that is cancelled or expires has its webhook, too, and a host its bound', async () => {
  const receiver = await openOne();
  const site = await openSite([receiver], { WEBHOOK_PENDING_MAX: '2' });
  const cancelled = await submit(site, receiver.origin);
  const late = await submit(site, receiver.origin, { body: { input, deadlineMs: 5000 } });
  const headers = { prefer: 'respond-async', 'webhook-url': receiver.origin };
  expect(await post(site.url + text, { input }, headers)).toMatchObject({
    status: 429,
    body: { code: 'overloaded', detail: expect.stringContaining('webhooks') },
  });
  await ask(`${site.url}/v1/jobs/${cancelled}`, { method: 'DELETE' });
  await untilWebhook(site, cancelled, 'delivered');
  expect(receiver.of(cancelled)).toMatchObject([
    { isSigned: true, event: { type: 'job.cancelled', data: { problem: { status: 409 } } } },
  ]);
  await untilWebhook(site, late, 'delivered');
  expect(receiver.of(late)).toMatchObject([
    { isSigned: true, event: { type: 'job.expired', data: { state: 'expired' } } },
  ]);
});

test.concurrent('a webhook is tried again until the receiver takes it, and is the same each time', async () => {
  const answers: ReceiverAnswer[] = [
    { status: 302, headers: { location: '/elsewhere' } },
    { status: 503, headers: { 'retry-after': '1' } },
  ];
  const receiver = await openOne(() => answers.shift() ?? { status: 200 });
  const secrets = `${receiverSecret},${otherSecret}`;
  const site = await openSite([receiver], { WEBHOOK_SECRETS: secrets });
  const job = await submit(site, receiver.origin);
  await ask(`${site.url}/v1/jobs/${job}`, { method: 'DELETE' });
  const retrying = await untilWebhook(site, job, 'retrying');
  expect(retrying).toMatchObject({ lastError: expect.stringContaining('the receiver answered') });
  expect(Date.parse(retrying.nextAttemptAt)).toBeGreaterThan(Date.now() - 60_000);
  const delivered = await untilWebhook(site, job, 'delivered');
  expect(delivered.attempts).toBe(3);
  const all = receiver.of(job);
  expect(all.map(({ isSigned, path }) => [isSigned, path])).toEqual(
    Array.from({ length: 3 }, () => [true, '/']),
  );
  expect(new Set(all.map(({ id }) => id)).size).toBe(1);
  expect(new Set(all.map(({ body }) => body)).size).toBe(1);
  const { body = '', headers = {} } = all.at(-1) ?? {};
  const other = new Webhook(otherSecret);
  expect(other.verify(body, headers as Record<string, string>)).toMatchObject({
    type: 'job.cancelled',
  });
});

test.concurrent('a webhook that nobody takes is a dead letter, which an operator has sent again', async () => {
  let status = 410;
  const receiver = await openOne(() => ({ status }));
  const site = await openSite([receiver], { WEBHOOK_ATTEMPTS_MAX: '2' });
  const [gone, refused] = await Promise.all([
    submit(site, `${receiver.origin}/gone`),
    submit(site, `${receiver.origin}/refused`),
  ]);
  await ask(`${site.url}/v1/jobs/${gone}`, { method: 'DELETE' });
  expect(await untilWebhook(site, gone, 'dead')).toMatchObject({ attempts: 1 });
  status = 400;
  await ask(`${site.url}/v1/jobs/${refused}`, { method: 'DELETE' });
  expect(await untilWebhook(site, refused, 'dead')).toMatchObject({ attempts: 2 });

  const list = async () => (await ask(`${site.url}/v1/webhooks`)).body;
  expect(await list()).toMatchObject({
    hosts: [{ host: receiver.origin, pending: 0 }],
    dead: [
      { job: refused, caller: 'anyone', url: `${receiver.origin}/refused`, attempts: 2 },
      { job: gone, lastError: expect.stringContaining('410') },
    ],
  });

  status = 200;
  const redeliver = (job: string) => post(`${site.url}/v1/webhooks/${job}/redeliver`, {});
  expect(await redeliver(gone)).toMatchObject({ status: 202 });
  expect(await untilWebhook(site, gone, 'delivered')).toMatchObject({ attempts: 1 });
  expect((await list()).dead.map(({ job }: { job: string }) => job)).toEqual([refused]);
  for (const job of [gone, 'none']) {
    expect(await redeliver(job)).toMatchObject({
      status: 404,
      body: { code: 'webhook_not_found' },
    });
  }
});

test.concurrent('what is left of a host that is no longer allowed is listed, and not sent', async () => {
  const queue = { QUEUE_PREFIX: 'webhooks-of-a-removed-host' };
  const removed = await openOne(() => ({ status: 410 }));
  const before = await openSite([removed], queue);
  const job = await submit(before, removed.origin);
  await ask(`${before.url}/v1/jobs/${job}`, { method: 'DELETE' });
  await untilWebhook(before, job, 'dead');
  await submit(before, removed.origin);

  const { url, log } = await openSite([await openOne()], { ...queue, LOG_LEVEL: 'warn' });
  expect((await ask(`${url}/v1/webhooks`)).body).toMatchObject({
    hosts: [{ pending: 0 }, { host: removed.origin, pending: 1, allowed: false }],
    dead: [{ job }],
  });
  await waitUntil('it is logged', () =>
    log.some(({ msg, host }) => host === removed.origin && /has no more$/.test(msg)),
  );
  expect(await post(`${url}/v1/webhooks/${job}/redeliver`, {})).toMatchObject({
    status: 400,
    body: { code: 'webhook_not_allowed', detail: expect.stringContaining(removed.origin) },
  });
  expect(removed.of(job)).toHaveLength(1);
});

test.concurrent('a receiver that changes the protocol, or says nothing, has refused the webhook', async () => {
  const receiver = await openOne(() => ({
    status: 101,
    headers: { upgrade: 'x', connection: 'upgrade' },
  }));
  const site = await openSite([receiver], {
    WEBHOOK_ATTEMPTS_MAX: '1',
    WEBHOOK_CONCURRENT_MAX: '2',
  });
  const jobs = await Promise.all(Array.from({ length: 5 }, () => submit(site, receiver.origin)));
  for (const job of jobs) await ask(`${site.url}/v1/jobs/${job}`, { method: 'DELETE' });
  for (const job of jobs) {
    expect(await untilWebhook(site, job, 'dead')).toMatchObject({
      lastError: expect.stringContaining('101'),
    });
  }
});

test.concurrent('a receiver that hangs holds up nobody else', async () => {
  const hanging = await openOne(() => 'hang');
  const well = await openOne();
  const site = await openSite([hanging, well], {
    ...{ WEBHOOK_CONCURRENT_MAX: '2', WEBHOOK_ATTEMPT_MS: '60000' },
  });
  const stuck = await Promise.all(Array.from({ length: 20 }, () => submit(site, hanging.origin)));
  for (const job of stuck) await ask(`${site.url}/v1/jobs/${job}`, { method: 'DELETE' });
  await waitUntil('the receiver hangs', () => hanging.received.length === 2);
  for (let at = 0; at < 5; at++) {
    const job = await submit(site, well.origin);
    await ask(`${site.url}/v1/jobs/${job}`, { method: 'DELETE' });
    await untilWebhook(site, job, 'delivered');
  }
  expect(hanging.received).toHaveLength(2);
  expect((await ask(`${site.url}/v1/webhooks`)).body.hosts).toEqual([
    { host: hanging.origin, pending: 20 },
    { host: well.origin, pending: 0 },
  ]);
  const endedAt = performance.now();
  await site.api.close();
  // It does not wait for the receiver: its claims are over, and another API has them at once.
  expect(performance.now() - endedAt).toBeLessThan(30_000);
  const next = await site.start('api');
  await waitUntil('another API tries them', () => hanging.received.length === 4);
  next.child.kill('SIGKILL');
});

test.concurrent('webhooks survive the API that took the jobs, before and during their delivery', async () => {
  let isHanging = true;
  const receiver = await openOne(() => (isHanging ? 'hang' : { status: 200 }));
  const site = await openSite([receiver], { WEBHOOK_ATTEMPT_MS: '500' });
  const [onItsWay, unfinished] = await Promise.all([
    submit(site, receiver.origin),
    submit(site, receiver.origin),
  ]);
  await ask(`${site.url}/v1/jobs/${onItsWay}`, { method: 'DELETE' });
  await waitUntil('a webhook is on its way', () => receiver.of(onItsWay).length > 0);
  site.api.kill('SIGKILL');
  isHanging = false;
  await site.start('worker');
  const { url } = await site.start('api');
  await Promise.all([onItsWay, unfinished].map((job) => untilWebhook({ url }, job, 'delivered')));
  // Each may come more than once, as where the receiver takes longer than an attempt.
  for (const [job, type] of [
    [onItsWay, 'job.cancelled'],
    [unfinished, 'job.succeeded'],
  ] as const) {
    const all = receiver.of(job);
    const told = all.map(({ isSigned, event }) => [isSigned, event.type]);
    expect(told).toEqual(all.map(() => [true, type]));
    expect(new Set(all.map(({ id }) => id)).size).toBe(1);
  }
});

const knowsProxies = Number(process.versions.node.split('.')[0]) >= 24;

test.skipIf(!knowsProxies)(
  'webhooks go through the proxy of the web, except to hosts inside (needs Node 24)',
  async () => {
    const inside = await openOne();
    const outside = await openOne();
    const asked: string[] = [];
    const proxy = http.createServer((request, response) => {
      const { method, headers, url = '' } = request;
      asked.push(url);
      const passed = http.request(
        url.replace(/^http:..hooks.example.com/, outside.origin),
        { method, headers },
        (answer) => {
          response.writeHead(answer.statusCode ?? 502);
          answer.pipe(response);
        },
      );
      request.pipe(passed);
    });
    onTestFinished(() => {
      proxy.close();
    });
    await once(proxy.listen(0, '127.0.0.1'), 'listening');
    const { port } = proxy.address() as AddressInfo;
    const { WEBHOOK_HOSTS } = receiverSettings(inside);
    const site = await openSite([], {
      WEBHOOK_HOSTS: `${WEBHOOK_HOSTS},http://hooks.example.com`,
      ...{ NODE_USE_ENV_PROXY: '1', HTTP_PROXY: `http://127.0.0.1:${port}` },
    });
    await site.start('worker');
    for (const origin of [inside.origin, 'http://hooks.example.com']) {
      await untilWebhook(site, await submit(site, `${origin}/hook`), 'delivered');
    }
    expect(asked).toEqual(['http://hooks.example.com/hook']);
    expect([inside, outside].map(({ received }) => received.length)).toEqual([1, 1]);
    expect(outside.received[0]).toMatchObject({ isSigned: true, path: '/hook' });
  },
);
