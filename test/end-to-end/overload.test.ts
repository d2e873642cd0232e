import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeKeys } from '../../shared/redis/keys.js';
import {
  openRedisForAll,
  post,
  queueOf,
  type Service,
  startService,
  waitUntil,
} from '../harness.js';

const score = '/v1/models/faq-matcher/score';
const bodyBytes = 4_000_000;

const redis = await openRedisForAll();
let service: Service;
let waiting: Promise<unknown>;
const abort = new AbortController();

// There is one permit and no worker, so the first request keeps the permit.
beforeAll(async () => {
  service = await startService({
    redisUrl: redis.url,
    models: 'faq-matcher',
    workers: 0,
    environment: { PERMITS_MAX: '1', IMAGES_PER_REQUEST_MAX: '1', SHUTDOWN_MS: '1000' },
  });
  const question = { input: 'How do I sort an array?' };
  waiting = fetch(`${service.url}${score}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(question),
    signal: abort.signal,
  }).catch(() => {});
  await waitUntil('the permit is taken', async () => {
    const jobs = await redis.client.keys(
      `${makeKeys('scoreline').prefix}:${queueOf('faq-matcher')}:*`,
    );
    return jobs.some((key) => key.endsWith(':wait'));
  });
});

afterAll(async () => {
  abort.abort();
  await waiting;
  await service?.close();
});

describe('a request without a permit', () => {
  it('gets 429 with a Retry-After', async () => {
    const { status, headers, body } = await post(`${service.url}${score}`, { input: 'Why?' });
    expect(status).toBe(429);
    expect(body.code).toBe('overloaded');
    expect(headers.get('retry-after')).toMatch(/^[1-9]\d*$/);
  });

  it.each([score, `${score}?top=2`, '/score', '/score?model=faq-matcher'])(
    'is refused before its body arrives, and keeps its connection: POST %s',
    async (path) => {
      const socket = connect(Number(new URL(service.url).port), '127.0.0.1');
      const read = makeReader(socket);
      await once(socket, 'connect');
      socket.write(
        `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${bodyBytes}\r\n\r\n{`,
      );
      expect(await read()).toMatch(/^HTTP\/1.1 429 /);
      // The client may still send the rest of its body.
      socket.write(Buffer.alloc(bodyBytes - 1, 'x'));
      socket.write('GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n');
      expect(await read()).toMatch(/^HTTP\/1.1 200 /);
      socket.destroy();
    },
  );
});

/** Returns a function that reads the next answer. Expects a Content-Length on every answer. */
function makeReader(socket: Socket): () => Promise<string> {
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk.toString();
  });
  return async () => {
    let answer: string | undefined;
    await waitUntil('an answer arrives', () => {
      const bodyAt = text.indexOf('\r\n\r\n') + 4;
      const length = Number(/^content-length: (\d+)/im.exec(text)?.[1]);
      if (bodyAt < 4 || text.length < bodyAt + length) return false;
      answer = text.slice(0, bodyAt + length);
      text = text.slice(bodyAt + length);
      return true;
    });
    return answer as string;
  };
}
