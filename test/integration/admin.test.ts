// What operators look at: who may, and what the page of the queues shows of a real queue.

import { randomUUID } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Answer,
  ask,
  bulkQueueOf,
  openRedis,
  post,
  queueOf,
  type Service,
  startService,
  type TestRedis,
  waitUntil,
} from '../harness.js';
import { openScene } from './http-scene.js';

const addresses = ['/admin/queues', '/admin/queues/api/queues', '/admin/metrics', '/admin/other'];

/** Asks with another Host than the address says. */
function askAs(host: string, url: string, headers = {}): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest(url, { headers: { ...headers, host } }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    sent.on('error', reject).end();
  });
}

describe('with AUTH=none', () => {
  test.each(addresses)('%s is closed, and says why', async (path) => {
    const { url } = await openScene({ configuration: { AUTH: [] } });
    const { status, body } = await ask(url + path);
    expect([status, body.code]).toEqual([403, 'scope_missing']);
    expect(body.detail).toMatch(/^Expected AUTH=keys or AUTH=oidc.*; got AUTH=none\./);
  });
});

describe('with AUTH unset', () => {
  test('this machine may look', async () => {
    const { url } = await openScene();
    expect((await ask(`${url}/admin/queues`)).status).toBe(200);
    expect(await askAs('localhost:8080', `${url}/admin/queues`)).toBe(200);
    expect(await askAs('[::1]:8080', `${url}/admin/queues`)).toBe(200);
  });

  test.each(['scoreline.example.com', '10.0.0.7:8080', 'localhost.example.com', '@'])(
    'a request to the host "%s" may not',
    async (host) => {
      const { url } = await openScene();
      expect(await askAs(host, `${url}/admin/queues`)).toBe(403);
    },
  );

  test('a request that a proxy passed on may not', async () => {
    const { url } = await openScene();
    const headers = { 'x-forwarded-for': '203.0.113.9' };
    expect(await askAs('127.0.0.1', `${url}/admin/queues`, headers)).toBe(403);
    const { body } = await ask(`${url}/admin/queues`, { headers });
    expect(body.detail).toContain('got one that a proxy passed on, as its field x-forwarded-for');
  });

  test('there are no metrics if nothing is measured', async () => {
    const { url } = await openScene();
    const { status, body } = await ask(`${url}/admin/metrics`);
    expect([status, body.code]).toEqual([404, 'not_found']);
    expect(body.detail).toContain('METRICS_PORT');
  });
});

describe('the page of the queues', () => {
  const model = 'faq-matcher';
  const secret = `words of a caller ${randomUUID()}`;
  let redis: TestRedis;
  let service: Service;
  const get = (path: string, init?: RequestInit): Promise<Answer> =>
    ask(`${service.url}/admin/queues${path}`, init);

  beforeAll(async () => {
    redis = await openRedis();
    service = await startService({
      redisUrl: redis.url,
      models: model,
      workers: 0,
      environment: { METRICS_PORT: '0' },
    });
  });
  afterAll(async () => {
    await service?.close();
    await redis?.close();
  });

  test('has all that it needs from here, and a policy that lets nothing else in', async () => {
    const { status, headers, body } = await get('');
    expect(status).toBe(200);
    expect(headers.get('x-powered-by')).toBeNull();
    const policy = headers.get('content-security-policy') ?? '';
    expect(policy).toMatch(/^default-src 'none'; script-src 'self';/);
    expect(policy).toContain("frame-ancestors 'none'");
    expect(body).toContain('<base href="/admin/queues/" />');
    const files = [...body.matchAll(/(?:src|href)="(static\/[^"]+)"/g)].map(([, file]) => file);
    expect(files.length).toBeGreaterThan(3);
    for (const file of files) expect((await get(`/${file}`)).status).toBe(200);
    // The addresses at which the page stands when it is loaded again.
    expect((await get(`/queue/${encodeURIComponent(queueOf(model))}`)).body).toBe(body);
  });

  test('shows a job that waits, without its input', async () => {
    const score = `${service.url}/v1/models/${model}/score`;
    const left = new AbortController();
    const answer = post(score, { input: secret }, {}, left.signal).catch(() => {});
    const page = { activeQueue: queueOf(model), status: 'latest', page: '1', jobsPerPage: '10' };
    const list = () => get(`/api/queues?${new URLSearchParams(page)}`);
    await waitUntil('it is there', async () => {
      const { body } = await list();
      return body.queues[0]?.counts.waiting === 1;
    });
    const { body } = await list();
    const names = [queueOf(model), bulkQueueOf(model)];
    expect(body.queues.map(({ name }: { name: string }) => name)).toEqual(names);
    const [{ jobs, readOnlyMode }] = body.queues;
    expect(readOnlyMode).toBe(true);
    expect(jobs[0].data.items).toEqual([
      {
        id: expect.any(String),
        submittedAt: expect.stringMatching(/^\d{4}-.*Z$/),
        deadlineAt: expect.stringMatching(/^\d{4}-.*Z$/),
      },
    ]);
    const text = JSON.stringify(body);
    for (const form of [secret, Buffer.from(secret).toString('base64').slice(4, 24)]) {
      expect(text).not.toContain(form);
    }
    left.abort();
    await answer;
  });

  test.each(['POST', 'PUT', 'PATCH', 'DELETE'])('takes no %s', async (method) => {
    for (const path of ['', `/api/queues/${encodeURIComponent(queueOf(model))}/pause`]) {
      const { status, headers } = await get(path, { method });
      expect([status, headers.get('allow')]).toEqual([405, 'GET, HEAD']);
    }
  });

  test('counts as another address, and not as a probe', async () => {
    const { metricsPort } = await service.api.ready;
    const counted = async (route: string) => {
      const { body } = await ask(`http://127.0.0.1:${metricsPort}/metrics`);
      const start = `scoreline_requests_total{route="${route}",model="",version="",code="ok"} `;
      const line = String(body)
        .split('\n')
        .find((each) => each.startsWith(start));
      return Number(line?.slice(start.length) ?? 0);
    };
    const before = { other: await counted('other'), health: await counted('health') };
    for (const path of ['', '/', '/api/queues']) await get(path);
    await waitUntil('all are counted', async () => (await counted('other')) === before.other + 3);
    expect(await counted('health')).toBe(before.health);
  });

  test('the metrics are those of the other port', async () => {
    const { metricsPort } = await service.api.ready;
    const { status, body } = await ask(`${service.url}/admin/metrics`);
    const other = await ask(`http://127.0.0.1:${metricsPort}/metrics`);
    const namesOf = (text: string) => text.split('\n').filter((line) => line.startsWith('# TYPE'));
    expect(status).toBe(200);
    expect(namesOf(body)).toEqual(namesOf(other.body));
  });
});
