// Tests the events of jobs, with a client that follows them as a browser does.

import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { hashApiKey, makeApiKey, makeApiKeyId } from '../../api/access/api-key.js';
import type { ApiKeyRecord } from '../../api/access/api-key-record.js';
import { ApiKeyStore } from '../../api/access/api-key-store.js';
import { makeKeys } from '../../shared/redis/keys.js';
import { type Listener, listen } from '../event-source.js';
import { ask, bulkQueueOf, waitUntil } from '../harness.js';
import { cancel, input, openSites, read, type Site, type Sites, submit, text } from './job-site.js';

let sites: Sites;
/** A service without a worker, which the tests share that need nothing else. */
let shared: Site;
/** Another API of it. */
let other: Site['api'];

beforeAll(async () => {
  sites = await openSites();
  shared = await sites.openForAll();
  other = await shared.start('api');
});

afterAll(() => sites?.close());

const eventsOf = (url: string, id: string) => `${url}/v1/jobs/${id}/events`;

function follow(url: string, id: string): Listener {
  const listener = listen(eventsOf(url, id));
  onTestFinished(() => listener.close());
  return listener;
}

describe('the events of a job', () => {
  test('tell each state once, with the job as its address answers, and end', async () => {
    const site = await sites.open();
    const id = await submit(site.url + text);
    const beside = await site.start('api');
    const listeners = [site.url, beside.url].map((url) => follow(url, id));
    await Promise.all(listeners.map((listener) => listener.untilTold('queued')));
    const queued = await read(site.url, id);
    expect(queued.body).toMatchObject({ state: 'queued', position: 1 });
    await site.start('worker');
    for (const listener of listeners) {
      await listener.untilTold('succeeded');
      await listener.untilClosed();
      expect(listener.states[0]).toBe('queued');
      expect(new Set(listener.states).size).toBe(listener.states.length);
      expect(listener.events[0]?.data).toEqual(queued.body);
      expect(listener.events.at(-1)?.data).toEqual((await read(site.url, id)).body);
      expect(listener.connections).toBe(1);
    }
  });

  test('begin with the state of now, and tell of running and of cancelling', async () => {
    const id = await submit(shared.url + text);
    const queue = `${shared.prefix}:${bulkQueueOf('faq-matcher')}`;
    const { client } = sites.redis;
    await client.rpoplpush(`${queue}:wait`, `${queue}:active`);
    const listener = follow(shared.url, id);
    await listener.untilTold('running');
    await cancel(shared.url, id);
    await listener.untilTold('cancelled');
    expect(listener.states).toEqual(['running', 'cancelled']);
    const late = follow(shared.url, id);
    await late.untilClosed();
    expect(late.states).toEqual(['cancelled']);
    await client.del(`${queue}:active`);
  });

  test('tell when the deadline has passed', async () => {
    const id = await submit(`${shared.url}${text}?deadlineMs=3000`);
    const listener = follow(shared.url, id);
    await listener.untilTold('expired');
    expect(listener.states).toEqual(['queued', 'expired']);
  });

  test('tell how far the line has moved, and how long it will take', async () => {
    const site = await sites.open();
    const ids: string[] = [];
    for (let sent = 0; sent < 6; sent++) ids.push(await submit(site.url + text));
    const queue = `${site.prefix}:${bulkQueueOf('faq-matcher')}:wait`;
    const listener = follow(site.url, ids.at(-1) as string);
    await listener.untilTold('queued');
    expect(listener.events[0]?.data).toMatchObject({ position: 6 });
    const takeOne = async () => {
      const { length } = listener.events;
      await sites.redis.client.rpop(queue);
      await waitUntil('the line has moved', () => listener.events.length > length);
      return listener.events.at(-1);
    };
    const first = await takeOne();
    expect(first).toMatchObject({ type: 'position', data: { position: 5 } });
    await takeOne();
    const third = await takeOne();
    expect(third?.data).toEqual({ position: 3, estimatedWaitMs: expect.any(Number) });
    expect(third?.data.estimatedWaitMs).toBeGreaterThan(1000);
    expect(third?.id).toBe(listener.events[0]?.id);
    const { body, headers } = await read(site.url, ids.at(-1) as string);
    expect(body).toMatchObject({ position: 3, estimatedWaitMs: expect.any(Number) });
    expect(Number(headers.get('retry-after'))).toBe(Math.ceil(body.estimatedWaitMs / 1000));
    expect(listener.states).toEqual(['queued']);
  });
});

describe('a request for events', () => {
  test('goes on after the id of the last event, at any API', async () => {
    const id = await submit(shared.url + text);
    const first = follow(shared.url, id);
    await first.untilTold('queued');
    first.close();
    await cancel(shared.url, id);
    const seen = { 'last-event-id': first.events[0]?.id as string };
    const rest = await ask(eventsOf(other.url, id), { headers: seen });
    expect(rest.headers.get('content-type')).toBe('text/event-stream');
    expect(rest.body).toMatch(/^retry: 1000\n\nid: [0-9a-f]{8}-cancelled\ndata: \{.*\}\n\n$/);
    const last = { 'last-event-id': /^id: (.*)$/m.exec(rest.body)?.[1] as string };
    const none = await ask(eventsOf(shared.url, id), { headers: last });
    expect(none).toMatchObject({ status: 204, body: '' });
  });

  test.each(['0', 'queued', '7f9c24e8-done', '7f9c24e8', 'x'.repeat(300), '7f9c24e8-queued,'])(
    'with the id %s, which is none, is refused',
    async (lastEventId) => {
      const id = await submit(shared.url + text);
      const headers = { 'last-event-id': lastEventId };
      const answer = await ask(eventsOf(shared.url, id), { headers });
      expect(answer).toMatchObject({ status: 400, body: { code: 'event_id_invalid' } });
      expect(answer.body.detail).toMatch(/as in [0-9a-f]{8}-queued; got "/);
    },
  );

  test('with an id from an earlier run of the job is refused', async () => {
    const key = { 'idempotency-key': 'once more' };
    const id = await submit(`${shared.url}${text}?deadlineMs=100`, { input }, key);
    const listener = follow(shared.url, id);
    await listener.untilTold('expired');
    expect(await submit(shared.url + text, { input }, key)).toBe(id);
    const headers = { 'last-event-id': listener.events.at(-1)?.id as string };
    const answer = await ask(eventsOf(shared.url, id), { headers });
    expect(answer).toMatchObject({ status: 410, body: { code: 'event_gone' } });
    expect(answer.body.detail).toMatch(/without Last-Event-ID/);
  });

  test('about the job of another caller gets the same answer as about one that never was', async () => {
    const never = await ask(eventsOf(shared.url, 'never'));
    expect(never).toMatchObject({ status: 404, body: { code: 'job_not_found' } });
    const id = await submit(shared.url + text);
    const key = makeKeys(shared.prefix).job(id);
    const record = JSON.parse((await sites.redis.client.get(key)) as string);
    await sites.redis.client.set(key, JSON.stringify({ ...record, caller: 'somebody' }));
    for (const headers of [{}, { 'last-event-id': 'x' }]) {
      const answer = await ask(eventsOf(shared.url, id), { headers });
      expect(answer.body).toEqual(never.body);
    }
  });

  test('needs a client that takes events', async () => {
    const id = await submit(shared.url + text);
    const url = eventsOf(shared.url, id);
    const json = await ask(url, { headers: { accept: 'application/json' } });
    expect(json).toMatchObject({ status: 406, body: { code: 'not_acceptable' } });
    const headers = { accept: 'text/*;q=0.5', 'accept-encoding': 'gzip' };
    const head = await ask(url, { method: 'HEAD', headers });
    expect(head.status).toBe(200);
    expect(head.headers.get('content-type')).toBe('text/event-stream');
    expect(head.headers.get('cache-control')).toBe('no-store, no-transform');
    expect(head.headers.get('content-encoding')).toBeNull();
    const other = await ask(url, { method: 'DELETE' });
    expect(other).toMatchObject({ status: 405, body: { code: 'method_not_allowed' } });
    expect(other.headers.get('allow')).toBe('GET, HEAD');
  });

  test('is refused when too many streams are open, until one is closed', async () => {
    const site = await sites.open({ EVENT_STREAMS_MAX: '2' });
    const id = await submit(site.url + text);
    const listeners = [follow(site.url, id), follow(site.url, id)];
    await Promise.all(listeners.map((listener) => listener.untilTold('queued')));
    const answer = await ask(eventsOf(site.url, id));
    expect(answer).toMatchObject({ status: 429, body: { code: 'overloaded' } });
    expect(answer.body.detail).toMatch(/at most 2 open event streams/);
    expect(answer.headers.get('retry-after')).toBe('5');
    listeners[0]?.close();
    await waitUntil('there is room', async () => {
      const again = follow(site.url, id);
      await waitUntil('it is open or refused', () => again.connections > 0 || again.isClosed);
      return again.connections > 0;
    });
  });
});

describe('a caller', () => {
  let site: Site;

  beforeAll(async () => {
    site = await sites.openForAll({ AUTH: 'keys', CALLER_EVENT_STREAMS_MAX: '1' });
  });

  /** Makes an API key. */
  async function makeCaller(record: Partial<ApiKeyRecord>): Promise<{ 'x-api-key': string }> {
    const store = new ApiKeyStore(sites.redis.client, makeKeys(site.prefix));
    const id = makeApiKeyId();
    const key = makeApiKey(id);
    const sha256 = hashApiKey(key).toString('hex');
    await store.write({ scopes: ['score'], ...record, id, name: id, sha256 });
    const headers = { 'x-api-key': key };
    await waitUntil('the key is known', async () => {
      return (await ask(`${site.url}/v1/jobs`, { headers })).status !== 401;
    });
    return headers;
  }

  /** Opens a stream that stays open until the test ends. */
  async function open(id: string, headers: Record<string, string>): Promise<number> {
    const controller = new AbortController();
    onTestFinished(() => controller.abort());
    const { signal } = controller;
    return (await fetch(eventsOf(site.url, id), { headers, signal })).status;
  }

  test('has its streams beside its requests in flight, and only so many', async () => {
    const ada = await makeCaller({ concurrent: 1 });
    const id = await submit(site.url + text, { input }, ada);
    expect(await open(id, ada)).toBe(200);
    // The only place for a request in flight is free again.
    expect((await read(site.url, id, ada)).status).toBe(200);
    const refused = await ask(eventsOf(site.url, id), { headers: ada });
    expect(refused).toMatchObject({ status: 429, body: { code: 'concurrency_limited' } });
    expect(refused.body.detail).toMatch(/at most 1 open event streams of/);
    const bob = await makeCaller({});
    expect(await open(await submit(site.url + text, { input }, bob), bob)).toBe(200);
  });

  test('follows its own jobs only', async () => {
    const [ada, bob] = [await makeCaller({}), await makeCaller({})];
    const id = await submit(site.url + text, { input }, ada);
    const other = await ask(eventsOf(site.url, id), { headers: bob });
    expect(other).toMatchObject({ status: 404, body: { code: 'job_not_found' } });
    const nobody = await ask(eventsOf(site.url, id));
    expect(nobody).toMatchObject({ status: 401, body: { code: 'unauthenticated' } });
  });
});

test('a stream outlives the time limits of requests, and an API that ends sends its clients elsewhere', async () => {
  const site = await sites.open({ HEADERS_MS_MAX: '1000', REQUEST_MS_MAX: '1000' });
  const id = await submit(site.url + text);
  const listener = follow(site.url, id);
  await listener.untilTold('queued');
  // Node looks for requests that take too long once a second.
  await read(site.url, id, { prefer: 'wait=3' });
  expect(listener.connections).toBe(1);
  const { port } = new URL(site.url);
  await site.api.close();
  await site.start('api', { PORT: port });
  await waitUntil('the client has connected again', () => listener.connections === 2);
  await cancel(site.url, id);
  await listener.untilClosed();
  expect(listener.states).toEqual(['queued', 'cancelled']);
});
