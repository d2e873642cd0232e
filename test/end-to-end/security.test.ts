// What a caller with a good key still cannot do. With real processes: an API, a worker, a Redis and an OIDC
// issuer. docs/security.md says which of the other tests belong to which risk.

import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ask, openRedis, post, type Service, startService, type TestRedis } from '../harness.js';
import { openIssuerProcess, type TestIssuer } from '../issuer.js';
import { createKey } from '../keys-command.js';

const text = '/v1/models/faq-matcher/score';
const image = '/v1/models/efficientnet-lite0/score';
const input = 'why is 0.1 + 0.2 not 0.3';

let redis: TestRedis;
let issuer: TestIssuer;
let service: Service;
let admin: { 'X-API-Key': string };

beforeAll(async () => {
  [redis, issuer] = await Promise.all([openRedis(), openIssuerProcess({ clients: { plain: {} } })]);
  const environment = {
    AUTH: 'keys,oidc',
    OIDC_ISSUER: issuer.url,
    OIDC_AUDIENCE: 'urn:scoreline',
  };
  service = await startService({ redisUrl: redis.url, environment });
  const parameters = ['operator', '--scopes', 'admin'];
  const key = await createKey([service.url], { REDIS_URL: redis.url }, ...parameters);
  admin = { 'X-API-Key': key };
});
afterAll(async () => {
  await service?.close();
  await issuer?.stop();
  await redis?.close();
});

describe('members of a body that are not for the caller to set', () => {
  const members = {
    id: 'mine',
    model: 'efficientnet-lite0',
    version: '9',
    caller: 'key:other',
    scopes: ['admin'],
    deadlineAt: 1,
    arrivedAt: 0,
    limits: { concurrent: 0 },
    known: true,
    timing: {},
  };
  const polluting = [
    '{"__proto__": {"top": 1, "deadlineMs": 1}, "input": "a"}',
    '{"constructor": {"prototype": {"top": 1}}, "input": "a"}',
    '{"input": "a", "toString": 1, "hasOwnProperty": 1}',
  ];

  test.each(Object.entries(members))('are refused: %s', async (name, value) => {
    const answer = await post(service.url + text, { input, [name]: value }, admin);
    expect(answer).toMatchObject({ status: 400, body: { code: 'parameter_invalid' } });
  });

  test('change nothing where clients may send what they like', async () => {
    const { model, version, ...others } = members;
    const plain = await post(`${service.url}/score`, { input }, admin);
    const given = await post(`${service.url}/score`, { input, ...others }, admin);
    expect(given.status).toBe(200);
    expect(given.body.result[0]).toEqual(plain.body.result[0]);
    for (const named of [{ model }, { version }]) {
      const answer = await post(`${service.url}/score`, { input, ...named }, admin);
      expect(answer).toMatchObject({ status: 400, body: { code: 'parameter_invalid' } });
    }
  });

  test('do not reach the requests of others', async () => {
    for (const body of polluting) {
      for (const [address, expected] of [
        [text, 400],
        ['/score', 200],
      ] as const) {
        const headers = { ...admin, 'content-type': 'application/json' };
        const { status } = await ask(service.url + address, { method: 'POST', headers, body });
        expect(status).toBe(expected);
      }
    }
    const { body } = await post(service.url + text, { input }, admin);
    expect(body.predictions).toHaveLength(3);
  });
});

describe('what only the operator does, by commands', () => {
  const addresses = [...['/v1/keys', '/v1/api-keys', '/keys', '/admin', '/metrics']];
  test.each(addresses)('has no address, also not for an admin: %s', async (address) => {
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']) {
      const { status, body } = await ask(service.url + address, { method, headers: admin });
      expect([method, status, body.code]).toEqual([method, 404, 'not_found']);
    }
  });

  test.each(['faq-matcher', 'new'])('is not done at the address of a model: %s', async (name) => {
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
      const address = `${service.url}/v1/models/${name}`;
      const { status, body } = await ask(address, { method, headers: admin });
      expect([method, status, body.code]).toEqual([method, 405, 'method_not_allowed']);
    }
  });

  test('cannot be reached by another way to name the method', async () => {
    for (const name of ['X-HTTP-Method-Override', 'X-HTTP-Method', 'X-Method-Override']) {
      const headers = { ...admin, [name]: 'DELETE', 'content-type': 'application/json' };
      const body = JSON.stringify({ input });
      expect((await ask(service.url + text, { method: 'POST', headers, body })).status).toBe(200);
      expect((await ask(`${service.url}/v1/models`, { headers })).status).toBe(200);
    }
  });
});

describe('an address that a caller names', () => {
  let canary: Server;
  let url: string;
  let visits = 0;

  beforeAll(async () => {
    canary = createServer((_request, response) => {
      response.end();
    });
    canary.on('connection', () => visits++);
    canary.listen(0, '127.0.0.1');
    await once(canary, 'listening');
    url = `http://127.0.0.1:${(canary.address() as AddressInfo).port}/a.jwks`;
  });
  afterAll(() => {
    canary.close();
  });

  test('is never visited', async () => {
    const statuses: number[] = [];
    for (const request of requests()) statuses.push((await fetch(request)).status);
    expect(statuses.filter((status) => status >= 500)).toEqual([]);
    expect(visits).toBe(0);
    // A visit would have been noticed.
    await fetch(url);
    expect(visits).toBe(1);
  });

  function* requests(): Generator<Request> {
    const send = (address: string, type: string, body: string, headers: object = {}) =>
      new Request(service.url + address, {
        ...{ method: 'POST', body, headers: { ...admin, 'content-type': type, ...headers } },
      });
    const svg = `<svg xmlns="http://www.w3.org/2000/svg"><image href="${url}"/></svg>`;
    const xml = `<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "${url}">]><a>&b;</a>`;
    for (const value of [url, svg, xml]) {
      const base64 = Buffer.from(value).toString('base64');
      for (const given of [value, base64, { a: value }, { a: base64 }, { url: value }]) {
        yield send(image, 'application/json', JSON.stringify({ input: given }));
        yield send('/score', 'application/json', JSON.stringify({ input: given }));
      }
      yield send(text, 'application/json', JSON.stringify({ input: value }));
      for (const type of ['image/svg+xml', 'image/png', 'application/octet-stream', 'text/plain']) {
        yield send(image, type, value);
      }
    }
    const members = { callback: url, webhook: url, url, image_url: url, model: url };
    yield send(text, 'application/json', JSON.stringify({ input, ...members }));
    yield send(`${text}?${new URLSearchParams(members)}`, 'text/plain', input);
    const fields = [
      'Callback-URL',
      'Forwarded',
      'Link',
      'Origin',
      'Referer',
      'Webhook',
      'X-Original-URL',
    ];
    yield send(text, 'text/plain', input, Object.fromEntries(fields.map((name) => [name, url])));
    yield send(text, 'text/plain', input, { prefer: 'respond-async', 'webhook-url': url });
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const head = part({ alg: 'RS256', kid: url, jku: url, x5u: url, typ: 'JWT' });
    const token = `${head}.${part({ iss: url, aud: 'urn:scoreline', sub: 'a', exp: 4e9 })}.AAAA`;
    yield new Request(`${service.url}/v1/models`, {
      headers: { authorization: `Bearer ${token}` },
    });
  }
});
