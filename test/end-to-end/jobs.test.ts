// Tests requests that are answered later, as jobs.

import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { makeKeys } from '../../shared/redis/keys.js';
import type { PackedJob } from '../../shared/wire/job.js';
import { packReplies } from '../../shared/wire/reply.js';
import { ask, bulkQueueOf, post, queueOf, type TestRedis, waitUntil } from '../harness.js';
import { photograph } from '../integration/photographs.js';
import {
  cancel,
  input,
  later,
  openSites,
  read,
  readEnded,
  type Site,
  type Sites,
  submit,
  text,
} from './job-site.js';

let sites: Sites;
let redis: TestRedis;
/** A service with a worker, which the tests share that need nothing else. */
let shared: Site;
const openSite = (changes?: NodeJS.ProcessEnv) => sites.open(changes);

beforeAll(async () => {
  sites = await openSites();
  redis = sites.redis;
  shared = await sites.openForAll({ MODELS: 'faq-matcher,efficientnet-lite0' });
  await shared.start('worker');
});

afterAll(() => sites?.close());

describe('a request with Prefer: respond-async', () => {
  test('becomes a job, whose result is the answer that comes at once otherwise', async () => {
    const { url } = shared;
    const atOnce = await post(url + text, { input, top: 2 });
    const id = await submit(url + text, { input, top: 2 });
    const { body } = await readEnded(url, id);
    expect(body).toMatchObject({ id, state: 'succeeded', model: 'faq-matcher' });
    expect(Object.keys(body.result)).toEqual(Object.keys(atOnce.body));
    expect(body.result.predictions).toEqual(atOnce.body.predictions);
    expect(Date.parse(body.deadlineAt) - Date.parse(body.submittedAt)).toBeGreaterThan(3_500_000);
  });

  test('is what ?async asks for, too', async () => {
    for (const query of ['?async', '?async=true']) {
      expect((await post(shared.url + text + query, { input })).status).toBe(202);
    }
    expect((await post(`${shared.url}${text}?async=false`, { input })).status).toBe(200);
  });

  test('has its pictures by name at POST /score', async () => {
    const names = { one: 'siamese-cat.jpg', two: 'coffee.png' };
    const pictures = Object.entries(names).map(([name, file]) => [
      name,
      photograph(file).toString('base64'),
    ]);
    const body = { input: Object.fromEntries(pictures) };
    const atOnce = await post(`${shared.url}/score`, body);
    const ended = await readEnded(shared.url, await submit(`${shared.url}/score`, body));
    const [result, computed] = ended.body.result.result;
    const { submittedAt, deadlineAt } = ended.body;
    expect(Date.parse(deadlineAt) - Date.parse(submittedAt)).toBeGreaterThan(3_500_000);
    expect(result).toEqual(atOnce.body.result[0]);
    expect(computed).toMatch(/^Computed in/);
  });

  test('has its outputs in JSON at /v2/models/{model}/infer', async () => {
    const address = `${shared.url}/v2/models/faq-matcher/infer`;
    const { body: metadata } = await ask(`${shared.url}/v2/models/faq-matcher`);
    const tensor = { ...metadata.inputs[0], shape: [2], data: [input, 'sort a list'] };
    const body = { id: 'mine', inputs: [tensor] };
    const atOnce = await post(address, body);
    expect(atOnce.status, JSON.stringify(atOnce.body)).toBe(200);
    const binary = { ...body, parameters: { binary_data_output: true } };
    for (const asked of [body, binary]) {
      const ended = await readEnded(shared.url, await submit(address, asked));
      expect(ended.body.result).toEqual(atOnce.body);
    }
  });

  test('with an Idempotency-Key has one job, however often it is sent', async () => {
    const site = await openSite();
    const key = { 'idempotency-key': 'again' };
    const id = await submit(site.url + text, { input }, key);
    expect(await submit(site.url + text, { input }, key)).toBe(id);
    const queue = `${site.prefix}:${bulkQueueOf('faq-matcher')}:wait`;
    expect(await redis.client.llen(queue)).toBe(1);
    const other = await post(site.url + text, { input: 'else' }, { ...later, ...key });
    expect(other).toMatchObject({ status: 422, body: { code: 'idempotency_key_reused' } });
    await site.start('worker');
    const { body } = await readEnded(site.url, id);
    const atOnce = await post(site.url + text, { input }, key);
    expect(atOnce.body).toEqual(body.result);
    expect(atOnce.headers.get('idempotency-replayed')).toBe('true');
  });

  test('with an Idempotency-Key is one job also for those who send it at the same time', async () => {
    const site = await openSite();
    const { url } = await site.start('api');
    const key = { ...later, 'idempotency-key': 'at once' };
    const sent = Array.from({ length: 30 }, (_, at) =>
      post((at % 2 === 0 ? site.url : url) + text, { input }, key),
    );
    const answers = await Promise.all(sent);
    const { body } = answers[0] as (typeof answers)[number];
    const { submittedAt, deadlineAt } = (await read(site.url, body.id)).body;
    for (const answer of answers) {
      expect(answer.status).toBe(202);
      expect(answer.body).toMatchObject({ id: body.id, submittedAt, deadlineAt });
    }
    // Either API may have queued it before it saw that of the other.
    const queue = `${site.prefix}:${bulkQueueOf('faq-matcher')}:wait`;
    expect(await redis.client.llen(queue)).toBeLessThanOrEqual(2);
  });

  test('is made anew by a repeat that comes when its results are gone', async () => {
    const site = await openSite();
    const key = { 'idempotency-key': 'anew' };
    const address = `${site.url}${text}?deadlineMs=400`;
    const id = await submit(address, { input }, key);
    const names = makeKeys(site.prefix);
    // Its record is there for ten minutes more than its results, for which a test does not wait.
    const record = JSON.parse((await redis.client.get(names.job(id))) ?? '');
    const old = { ...record, deadlineAt: record.deadlineAt - 4e6 };
    await redis.client.set(names.job(id), JSON.stringify(old), 'PX', 60_000);
    await redis.client.unlink(...(await redis.client.keys(`${site.prefix}:*fingerprint*`)));
    expect(await submit(site.url + text, { input }, key)).toBe(id);
    const { body } = await read(site.url, id);
    expect(body.state).toBe('queued');
    expect(Date.parse(body.deadlineAt)).toBeGreaterThan(Date.now());
  });

  test('whose record cannot be read is made anew', async () => {
    const site = await openSite();
    const key = { 'idempotency-key': 'unreadable' };
    const id = await submit(site.url + text, { input }, key);
    const names = makeKeys(site.prefix);
    const record = JSON.parse((await redis.client.get(names.job(id))) ?? '');
    const other = { ...record, form: { route: 'of another build' } };
    await redis.client.set(names.job(id), JSON.stringify(other), 'PX', 60_000);
    expect(await submit(site.url + text, { input }, key)).toBe(id);
    expect((await read(site.url, id)).body.state).toBe('queued');
  });

  test.each([{}, { id: 'mine' }, { parameters: { binary_data_output: true } }])(
    'of tensors with an Idempotency-Key has one job, too: %j',
    async (more) => {
      const site = await openSite();
      const { body: metadata } = await ask(`${site.url}/v2/models/faq-matcher`);
      const asked = { ...more, inputs: [{ ...metadata.inputs[0], shape: [1], data: [input] }] };
      const address = `${site.url}/v2/models/faq-matcher/infer`;
      const key = { 'idempotency-key': 'tensors' };
      const id = await submit(address, asked, key);
      expect(await submit(address, asked, key)).toBe(id);
      const outputs = [{ name: metadata.outputs[0].name, parameters: { classification: 2 } }];
      const other = await post(address, { ...asked, outputs }, { ...later, ...key });
      expect(other).toMatchObject({ status: 422, body: { code: 'idempotency_key_reused' } });
    },
  );

  test('that is there already is told when there is no room for another', async () => {
    const site = await openSite({ QUEUE_ITEMS_MAX: '1' });
    const key = { 'idempotency-key': 'told' };
    const id = await submit(site.url + text, { input }, key);
    await waitUntil('there is no room', async () => {
      const { status } = await post(site.url + text, { input: 'sort a list' }, later);
      return status === 429;
    });
    expect(await submit(site.url + text, { input }, key)).toBe(id);
    const other = await post(site.url + text, { input }, { ...later, 'idempotency-key': 'else' });
    expect(other).toMatchObject({ status: 429, body: { code: 'overloaded' } });
  });

  test('with an Idempotency-Key is refused for an answer in another form', async () => {
    const key = { ...later, 'idempotency-key': 'one form' };
    expect((await post(shared.url + text, { input }, key)).status).toBe(202);
    for (const address of ['/score?model=faq-matcher', `${text}?top=147`]) {
      const other = await post(shared.url + address, { input }, key);
      expect(other).toMatchObject({ status: 422, body: { code: 'idempotency_key_reused' } });
    }
  });

  test('that has ended is told with its state when it is sent again', async () => {
    const site = await openSite();
    const key = { ...later, 'idempotency-key': 'told' };
    const { body } = await post(site.url + text, { input }, key);
    await fetch(`${site.url}/v1/jobs/${body.id}`, { method: 'DELETE' });
    const again = await post(site.url + text, { input }, key);
    expect(again).toMatchObject({ status: 202, body: { id: body.id, state: 'cancelled' } });
  });

  test('counts among those that its caller may have, although its result is there', async () => {
    const site = await openSite({ CALLER_JOBS_MAX: '1' });
    await site.start('worker');
    await submit(site.url + text);
    const key = { 'idempotency-key': 'scored before' };
    expect((await post(site.url + text, { input }, key)).status).toBe(200);
    const another = await post(site.url + text, { input }, { ...later, ...key });
    expect(another).toMatchObject({ status: 429, body: { code: 'overloaded' } });
  });

  test('whose result is there from the start is told so', async () => {
    const key = { 'idempotency-key': 'scored at once' };
    const { body: scored } = await post(shared.url + text, { input }, key);
    const { status, body } = await post(shared.url + text, { input }, { ...later, ...key });
    expect({ status, state: body.state }).toEqual({ status: 202, state: 'succeeded' });
    expect((await read(shared.url, body.id)).body.result).toEqual(scored);
  });

  test('is refused by its input at once', async () => {
    const answer = await post(shared.url + text, { input: 7 }, later);
    expect(answer).toMatchObject({ status: 400, body: { code: 'input_invalid' } });
  });

  test('is let in by the length of the queue, and not by the rate of the workers', async () => {
    const site = await openSite({ QUEUE_ITEMS_MAX: '3' });
    for (let sent = 0; sent < 3; sent++) await submit(site.url + text);
    await waitUntil('there is no room', async () => {
      const answer = await post(site.url + text, { input }, later);
      return answer.status === 429 && answer.body.code === 'overloaded';
    });
  });

  test('is refused when there is no room for its result', async () => {
    const site = await openSite({ RESULTS_MAX: '1', IMAGES_PER_REQUEST_MAX: '1' });
    await submit(site.url + text);
    const answer = await post(site.url + text, { input }, later);
    expect(answer).toMatchObject({ status: 429, body: { code: 'overloaded' } });
    const { body } = await ask(`${site.url}/v1/jobs`);
    expect(body.jobs).toHaveLength(1);
  });
});

describe('a request with Prefer: wait', () => {
  test('is answered at once if the answer comes in time', async () => {
    const answer = await post(shared.url + text, { input }, { prefer: 'respond-async, wait=30' });
    expect(answer).toMatchObject({ status: 200, body: { predictions: expect.any(Array) } });
    expect(answer.headers.get('preference-applied')).toBe('respond-async, wait=30');
  });

  test('becomes a job if it does not', async () => {
    const site = await openSite();
    const answer = await post(site.url + text, { input }, { prefer: 'wait=1' });
    expect(answer).toMatchObject({ status: 202, body: { state: 'queued' } });
    expect(answer.headers.get('preference-applied')).toBe('wait=1');
    await site.start('worker');
    const { body } = await readEnded(site.url, answer.body.id);
    expect(body.state).toBe('succeeded');
  });

  test('that is no number is refused', async () => {
    const prefer = 'respond-async, wait=soon';
    const id = await submit(shared.url + text);
    const scoring = await post(shared.url + text, { input }, { prefer });
    for (const { status, body } of [scoring, await read(shared.url, id, { prefer })]) {
      expect({ status, code: body.code }).toEqual({ status: 400, code: 'preference_invalid' });
      expect(body.detail).toMatch(/whole number of seconds/);
    }
  });
});

describe('a job', () => {
  test('that does not exist and one of another caller get the same answer', async () => {
    const answer = await read(shared.url, 'never');
    expect(answer).toMatchObject({ status: 404, body: { code: 'job_not_found' } });
    const gone = await cancel(shared.url, 'never');
    expect(gone.body).toEqual(answer.body);
    const id = await submit(shared.url + text);
    const key = makeKeys(shared.prefix).job(id);
    const record = JSON.parse((await redis.client.get(key)) as string);
    await redis.client.set(key, JSON.stringify({ ...record, caller: 'somebody' }));
    expect((await read(shared.url, id)).body).toEqual(answer.body);
    expect((await cancel(shared.url, id)).body).toEqual(answer.body);
  });

  test('that is cancelled is not scored, and stays cancelled', async () => {
    const site = await openSite();
    const id = await submit(site.url + text);
    const cancelled = await cancel(site.url, id);
    expect(cancelled).toMatchObject({
      status: 200,
      body: { id, state: 'cancelled', problem: { status: 409, code: 'job_cancelled' } },
    });
    await site.start('worker');
    const other = await submit(site.url + text, { input: 'sort a list' });
    expect((await readEnded(site.url, other)).body.state).toBe('succeeded');
    expect((await read(site.url, id)).body).toEqual(cancelled.body);
    expect((await cancel(site.url, id)).body).toEqual(cancelled.body);
    const unanswered = makeKeys(site.prefix).unanswered(queueOf('faq-matcher'));
    await waitUntil(
      'nothing is unanswered',
      async () => (await redis.client.zcard(unanswered)) === 0,
    );
  });

  test('that has ended cannot be cancelled', async () => {
    const id = await submit(shared.url + text);
    const before = await readEnded(shared.url, id);
    const refused = await cancel(shared.url, id);
    expect(refused).toMatchObject({ status: 409, body: { code: 'job_finished' } });
    expect(refused.body.detail).toMatch(/has succeeded/);
    expect((await read(shared.url, id)).body).toEqual(before.body);
  });

  test('fails with the problem of its input', async () => {
    const site = await openSite();
    const id = await submit(site.url + text);
    const error = { code: 'model_failed', detail: 'It cannot.' } as const;
    await redis.client.set(makeKeys(site.prefix).result(id), packReplies([{ id, error }]));
    const { body } = await read(site.url, id);
    expect(body).toMatchObject({
      state: 'failed',
      problem: { code: 'model_failed', status: 500, detail: 'It cannot.' },
    });
  });

  test.each([
    ['that no worker here can read', (job: PackedJob) => ({ ...job, wire: 99 })],
    [
      'with a tensor that no worker here can read',
      ({ items: [item], ...job }: PackedJob) => ({ ...job, items: [{ ...item, data: [''] }] }),
    ],
  ])('%s fails as what it is', async (_, change) => {
    const site = await openSite();
    const id = await submit(site.url + text);
    const queue = `${site.prefix}:${bulkQueueOf('faq-matcher')}`;
    const [queued] = await redis.client.lrange(`${queue}:wait`, 0, -1);
    const data = JSON.parse((await redis.client.hget(`${queue}:${queued}`, 'data')) as string);
    await redis.client.hset(`${queue}:${queued}`, 'data', JSON.stringify(change(data)));
    await site.start('worker');
    const { body } = await readEnded(site.url, id);
    expect(body).toMatchObject({
      state: 'failed',
      problem: { status: 500, code: 'wire_mismatch' },
    });
    expect((await read(site.url, id)).body).toEqual(body);
  });

  test('is refused beyond the number that one caller may have', async () => {
    const site = await openSite({ CALLER_JOBS_MAX: '1' });
    const key = { 'idempotency-key': 'mine' };
    const id = await submit(site.url + text, { input }, key);
    const refused = await post(site.url + text, { input }, later);
    expect(refused).toMatchObject({ status: 429, body: { code: 'overloaded' } });
    expect(refused.body.detail).toMatch(/at most 1 jobs of one caller/);
    expect(await submit(site.url + text, { input }, key)).toBe(id);
    const results = makeKeys(site.prefix).results;
    await waitUntil('nothing else is claimed', async () => {
      return (await redis.client.zcard(results)) === 1;
    });
  });

  test('fails if its result is too large to be kept', async () => {
    const site = await openSite({ JOB_RESULT_BYTES_MAX: '1024' });
    await site.start('worker');
    const small = await readEnded(site.url, await submit(site.url + text, { input, top: 3 }));
    expect(small.body.state).toBe('succeeded');
    const large = await readEnded(site.url, await submit(site.url + text, { input, top: 147 }));
    expect(large.body).toMatchObject({
      state: 'failed',
      problem: { status: 422, code: 'result_too_large' },
    });
    expect(large.body.problem.detail).toMatch(/at most 1024 bytes; got \d+/);
  });

  test('expires at its deadline, and stays so when a worker comes', async () => {
    const site = await openSite();
    const id = await submit(`${site.url}${text}?deadlineMs=1500`);
    expect((await read(site.url, id)).body.state).toBe('queued');
    const { body } = await readEnded(site.url, id);
    expect(body.state).toBe('expired');
    expect((await cancel(site.url, id)).body.code).toBe('job_finished');
    await site.start('worker');
    expect((await read(site.url, id)).body).toEqual(body);
  });

  test('runs while a worker holds it, and is answered by any API', async () => {
    const site = await openSite();
    const id = await submit(site.url + text);
    const other = await site.start('api');
    expect((await read(other.url, id)).body.state).toBe('queued');
    const queue = `${site.prefix}:${bulkQueueOf('faq-matcher')}`;
    await redis.client.rpoplpush(`${queue}:wait`, `${queue}:active`);
    const running = await read(other.url, id);
    expect(running.body.state).toBe('running');
    expect(running.headers.get('retry-after')).toMatch(/^[1-9]\d?$/);
  });

  test('still runs for an API that does not know its model yet, and is asked for again', async () => {
    const site = await openSite();
    await site.start('worker');
    const id = await submit(site.url + text);
    expect((await readEnded(site.url, id)).body.state).toBe('succeeded');
    const other = await site.start('api', { MODELS: 'breast-cancer' });
    const awaited = await read(other.url, id);
    expect(awaited.body.state).toBe('running');
    expect(awaited.headers.get('retry-after')).toMatch(/^[1-9]\d?$/);
  });
});

describe('the list of jobs', () => {
  test('has the last one first, in pages, by model and state', async () => {
    const site = await openSite();
    const ids: string[] = [];
    for (let sent = 0; sent < 5; sent++) ids.unshift(await submit(site.url + text));
    await cancel(site.url, ids[1] as string);
    const get = async (query: string) => (await ask(`${site.url}/v1/jobs${query}`)).body;
    const idsOf = ({ jobs }: { jobs: { id: string }[] }) => jobs.map(({ id }) => id);
    const first = await get('?limit=2');
    expect(idsOf(first)).toEqual(ids.slice(0, 2));
    const second = await get(`?limit=3&after=${first.next}`);
    expect(idsOf(second)).toEqual(ids.slice(2));
    expect(second.next).toBeUndefined();
    expect(idsOf(await get('?state=cancelled'))).toEqual([ids[1]]);
    expect(idsOf(await get('?state=queued&model=faq-matcher&limit=4'))).toHaveLength(4);
    expect(idsOf(await get('?model=other'))).toEqual([]);
  });

  test.each([
    'limit=0',
    'limit=x',
    'limit=0x9',
    'states=queued',
    'state=done',
    'after=x',
    'model=a&model=b',
  ])('refuses ?%s', async (query) => {
    const answer = await ask(`${shared.url}/v1/jobs?${query}`);
    expect(answer).toMatchObject({ status: 400, body: { code: 'parameter_invalid' } });
  });
});

test('an API that ends lets go of those who wait for a job', async () => {
  const site = await openSite();
  const id = await submit(site.url + text);
  const leaving = await site.start('api');
  const waiting = read(leaving.url, id, { prefer: 'wait=60' });
  const deferred = post(leaving.url + text, { input }, { prefer: 'wait=60' });
  const lists = [bulkQueueOf('faq-matcher'), queueOf('faq-matcher')].map(
    (queue) => `${site.prefix}:${queue}:wait`,
  );
  await waitUntil('both are queued', async () => {
    const jobs = await Promise.all(lists.map((list) => redis.client.llen(list)));
    return jobs.every((waiting) => waiting === 1);
  });
  onTestFinished(() => leaving.kill('SIGKILL'));
  await leaving.close();
  expect((await waiting).body.state).toBe('queued');
  expect((await deferred).status).toBe(202);
});
