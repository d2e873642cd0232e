// Tests the response cache: the API's HTTP half and its entries in a real Redis, with workers that the test plays.

import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { makeCacheEntries } from '../../api/cache/entries.js';
import { correctClock } from '../../shared/clock.js';
import { ScorelineError } from '../../shared/errors.js';
import type { Manifest } from '../../shared/manifest/manifest.js';
import { makeKeys } from '../../shared/redis/keys.js';
import type { Model } from '../../shared/registry/models.js';
import { openRedisForAll, waitUntil } from '../harness.js';
import { makeSampleModel } from '../unit/sample-model.js';
import { makeReply, openScene } from './http-scene.js';
import { photograph } from './photographs.js';

const keys = makeKeys('cache');
const makeText = (changes: object = {}, cache: Partial<Manifest['cache']> = {}) =>
  makeSampleModel({ name: 'text', cache, ...changes });
const text = makeText();

const redis = await openRedisForAll();

beforeEach(() => redis.client.flushall());

interface Asked {
  readonly model?: string;
  readonly query?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

type Options = Parameters<typeof openScene>[0];

async function open(options: Options = {}) {
  const cacheEntries = makeCacheEntries({ redis: redis.client, keys });
  const scene = await openScene({ models: [text], cacheEntries, ...options });
  const ask = async (
    input: unknown,
    { model = 'text', query = '', headers, signal }: Asked = {},
  ) => {
    const response = await fetch(`${scene.url}/v1/models/${model}/score${query}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...headers },
      body: JSON.stringify({ input }),
      ...(signal && { signal }),
    });
    const body = (await response.json()) as { id?: string; code?: string };
    return { status: response.status, body, headers: response.headers, cache: noteOf(response) };
  };
  /** Asks, and waits until the answer is kept. */
  const askAndKeep = async (input: unknown, asked: Asked = {}) => {
    const before = await countEntries(scene.registry.models[0] as Model);
    const answer = await ask(input, asked);
    await waitUntil('the answer is kept', async () => {
      return (await countEntries(scene.registry.models[0] as Model)) > before;
    });
    return answer;
  };
  return { ...scene, ask, askAndKeep };
}

const noteOf = ({ headers }: Response) => headers.get('cache-status')?.replace(/\d+/, 'N');
const countEntries = ({ queue }: Model) => redis.client.hlen(keys.cache(queue));

describe('a model with a cache', () => {
  test('answers an equal request from it, with its age', async () => {
    const { ask, askAndKeep, submissions } = await open();
    const first = await askAndKeep('hello');
    expect(first.cache).toBe('Scoreline; fwd=miss');
    expect(first.headers.get('age')).toBeNull();
    const second = await ask('hello');
    expect(second.cache).toBe('Scoreline; hit; ttl=N');
    expect(Number(second.headers.get('age'))).toBeLessThan(60);
    expect(submissions).toHaveLength(1);
    expect(second.body).toEqual({ ...first.body, id: expect.any(String) });
    expect(second.body.id).not.toBe(first.body.id);
  });

  test('answers it in the form of each address', async () => {
    const { askAndKeep, url, submissions } = await open();
    await askAndKeep('hello', { query: '?top=3' });
    const answer = await fetch(`${url}/v1/models/text/versions/1/score`, {
      method: 'POST',
      headers: { 'Content-Type': 'text/plain' },
      body: 'hello',
    });
    expect(noteOf(answer)).toBe('Scoreline; hit; ttl=N');
    expect(submissions).toHaveLength(1);
  });

  test.each([
    ['another input', 'Hello', {}],
    ['another number of classes', 'hello', { query: '?top=2' }],
  ])('scores %s', async (_, input, asked) => {
    const { ask, askAndKeep, submissions } = await open();
    await askAndKeep('hello');
    expect((await ask(input, asked)).cache).toBe('Scoreline; fwd=miss');
    expect(submissions).toHaveLength(2);
  });

  test.each([
    ['another version', { version: 2 }],
    ['another file', { source: { file: 'model.onnx', bytes: 4, sha256: 'b'.repeat(64) } }],
    [
      'inputs that are treated in another way',
      { input: { kind: 'text', normalise: 'nfkc-quotes' } },
    ],
    [
      'outputs that are treated in another way',
      {
        output: { kind: 'classification', labels: 'labels.txt', activation: 'softmax' },
      },
    ],
    [
      'further outputs',
      { outputs: { again: { kind: 'classification', labels: 'labels.txt', threshold: 0.5 } } },
    ],
  ])('has no answer for a model of %s', async (_, changes) => {
    await (await open()).askAndKeep('hello');
    const { ask, submissions } = await open({ models: [makeText(changes)] });
    await ask('hello');
    expect(submissions).toHaveLength(1);
  });

  test('answers requests at any API instance', async () => {
    await (await open()).askAndKeep('hello');
    const { ask, submissions } = await open();
    expect((await ask('hello')).cache).toBe('Scoreline; hit; ttl=N');
    expect(submissions).toEqual([]);
  });

  test('answers equal pictures without decoding them', async () => {
    const image = makeSampleModel({
      name: 'image',
      input: { kind: 'image', width: 32, height: 32, tensor: 'uint8-nhwc' },
      cache: {},
    });
    const { askAndKeep, ask, submissions } = await open({ models: [image] });
    const picture = { cat: photograph('siamese-cat.jpg').toString('base64') };
    await askAndKeep(picture, { model: 'image' });
    const again = { other: `data:image/jpeg;base64,${picture.cat}` };
    expect((await ask(again, { model: 'image' })).cache).toBe('Scoreline; hit; ttl=N');
    expect(submissions).toHaveLength(1);
  });

  test('never keeps an error', async () => {
    const { ask, submissions } = await open({
      submit: ({ items }) =>
        items.map(() => Promise.reject(new ScorelineError('inputs_refused', 'It failed.'))),
    });
    for (let at = 0; at < 2; at++) expect((await ask('hello')).body.code).toBe('inputs_refused');
    for (let at = 0; at < 2; at++) expect((await ask('')).status).toBe(400);
    expect(submissions).toHaveLength(2);
    expect(await countEntries(text)).toBe(0);
  });

  test('scores requests while Redis refuses to tell', async () => {
    const { ask } = await open();
    await redis.client.set(keys.cache(text.queue), 'no hash');
    const answer = await ask('hello');
    expect([answer.status, answer.cache]).toEqual([200, 'Scoreline; fwd=miss']);
  });

  test('scores a request whose entry it cannot read', async () => {
    const { ask, askAndKeep, submissions } = await open();
    await askAndKeep('hello');
    const [digest = ''] = await redis.client.hkeys(keys.cache(text.queue));
    await redis.client.hset(keys.cache(text.queue), digest, 'x');
    expect((await ask('hello')).cache).toBe('Scoreline; fwd=miss');
    expect(submissions).toHaveLength(2);
  });
});

test('a model without a cache keeps nothing, and its answers do not speak of it', async () => {
  const { ask, submissions } = await open({ models: [makeSampleModel({ name: 'text' })] });
  for (let at = 0; at < 2; at++) expect((await ask('hello')).cache).toBeUndefined();
  expect(submissions).toHaveLength(2);
  expect(await redis.client.keys('*')).toEqual([]);
});

describe('callers', () => {
  const asCaller = (id: string): Options => ({
    access: {
      identify: () => ({ id, name: id, scopes: ['score'] }),
      isStranger: () => false,
      limits: { admit: () => undefined, fieldsOf: () => ({}) as never },
      delayMs: () => 0,
    },
  });

  test.each([
    ['are not answered with what another one asked', 'caller', 1],
    ['share answers if the manifest says so', 'all', 0],
  ] as const)('%s', async (_, scope, scored) => {
    const models = [makeText({}, { scope })];
    await (await open({ models, ...asCaller('a') })).askAndKeep('hello');
    const again = await open({ models, ...asCaller('a') });
    await again.ask('hello');
    expect(again.submissions).toEqual([]);
    const other = await open({ models, ...asCaller('b') });
    await other.ask('hello');
    expect(other.submissions).toHaveLength(scored);
  });
});

describe('a request with Cache-Control', () => {
  test.each([
    ['no-cache', 'Scoreline; fwd=request', 2],
    ['no-store', 'Scoreline; fwd=request', 2],
    ['max-age=0', 'Scoreline; fwd=request', 2],
    ['max-age=3600', 'Scoreline; hit; ttl=N', 1],
    ['no-transform', 'Scoreline; hit; ttl=N', 1],
  ])('%s is answered: %s', async (header, note, scored) => {
    const { ask, askAndKeep, submissions } = await open();
    await askAndKeep('hello');
    const answer = await ask('hello', { headers: { 'Cache-Control': header } });
    expect(answer.cache).toBe(note);
    expect(submissions).toHaveLength(scored);
  });

  test('no-store is not kept, and no-cache is', async () => {
    const { ask, askAndKeep } = await open();
    await ask('secret', { headers: { 'Cache-Control': 'no-store' } });
    await askAndKeep('hello', { headers: { 'Cache-Control': 'no-cache' } });
    expect(await countEntries(text)).toBe(1);
    expect((await ask('secret')).cache).toBe('Scoreline; fwd=miss');
  });
});

describe('equal requests in flight', () => {
  function makeHeld() {
    const held: { answer(): void; fail(error: ScorelineError): void }[] = [];
    const submit: NonNullable<Options>['submit'] = ({ items, ending }) =>
      items.map(
        ({ id }) =>
          new Promise((resolve, reject) => {
            held.push({ answer: () => resolve(makeReply(id)), fail: reject });
            ending.onEnd(() => reject(ending.reason));
          }),
      );
    return { held, submit };
  }

  test('are scored once', async () => {
    const { held, submit } = makeHeld();
    const { ask, calls, submissions } = await open({ submit });
    const answers = Array.from({ length: 40 }, () => ask('hello'));
    await waitUntil('all of them wait', () => calls.size === 40 && held.length === 1);
    held[0]?.answer();
    const all = await Promise.all(answers);
    expect(submissions).toHaveLength(1);
    const notes = all.map(({ cache }) => cache).toSorted();
    expect(notes.filter((note) => note === 'Scoreline; fwd=miss')).toHaveLength(1);
    expect(notes.filter((note) => note === 'Scoreline; fwd=miss; collapsed')).toHaveLength(39);
    expect(new Set(all.map(({ body }) => body.id)).size).toBe(40);
  });

  test('wait for those of their own priority alone', async () => {
    const { held, submit } = makeHeld();
    const { ask, submissions } = await open({ submit });
    const bulk = ask('hello', { query: '?priority=bulk' });
    await waitUntil('bulk is scored', () => held.length === 1);
    const interactive = ask('hello');
    await waitUntil('interactive is scored, too', () => held.length === 2);
    held[1]?.answer();
    expect((await interactive).status).toBe(200);
    held[0]?.answer();
    expect((await bulk).status).toBe(200);
    expect(submissions).toHaveLength(2);
  });

  test('are scored although the client of the first one has left', async () => {
    const { held, submit } = makeHeld();
    const { ask, calls, submissions } = await open({ submit });
    const leaving = new AbortController();
    const first = ask('hello', { signal: leaving.signal });
    await waitUntil('the first one is scored', () => held.length === 1);
    const others = [ask('hello'), ask('hello')];
    await waitUntil('all of them wait', () => calls.size === 3);
    leaving.abort();
    await expect(first).rejects.toThrow();
    await waitUntil('another one is scored', () => held.length === 2);
    held[1]?.answer();
    expect((await Promise.all(others)).map(({ status }) => status)).toEqual([200, 200]);
    expect(submissions).toHaveLength(2);
  });

  test('all get the error of the input', async () => {
    const { held, submit } = makeHeld();
    const { ask, calls, submissions } = await open({ submit });
    const answers = [ask('hello'), ask('hello')];
    await waitUntil('both wait', () => calls.size === 2 && held.length === 1);
    held[0]?.fail(new ScorelineError('inputs_refused', 'It failed.'));
    const codes = (await Promise.all(answers)).map(({ body }) => body.code);
    expect(codes).toEqual(['inputs_refused', 'inputs_refused']);
    expect(submissions).toHaveLength(1);
  });

  test('are scored by themselves if they want no cached answer', async () => {
    const { held, submit } = makeHeld();
    const { ask } = await open({ submit });
    const headers = { 'Cache-Control': 'no-cache' };
    const answers = [ask('hello'), ask('hello', { headers }), ask('hello', { headers })];
    await waitUntil('each is scored', () => held.length === 3);
    for (const { answer } of held) answer();
    await Promise.all(answers);
  });
});

describe('the entries', () => {
  const entries = () => makeCacheEntries({ redis: redis.client, keys });
  const limitsOf = (changes: Partial<Manifest['cache']> = {}) =>
    makeText({}, changes).manifest.cache as NonNullable<Manifest['cache']>;
  const replies = [makeReply('a')];
  const sizes = async () => {
    const [held, ages, bytes, lengths] = await Promise.all([
      redis.client.hlen(keys.cache(text.queue)),
      redis.client.zcard(keys.cacheAges(text.queue)),
      redis.client.get(keys.cacheBytes(text.queue)),
      redis.client.hvalsBuffer(keys.cache(text.queue)),
    ]);
    const sum = lengths.reduce((total, { length }) => total + length, 0);
    expect([ages, Number(bytes)]).toEqual([held, sum]);
    return { held, bytes: Number(bytes) };
  };
  /** Writes entries one after the other, in this order. */
  const write = async (limits: ReturnType<typeof limitsOf>, digests: readonly string[]) => {
    for (const digest of digests) {
      entries().write(text, limits, digest, replies);
      // The connection keeps the order of commands.
      await redis.client.ping();
    }
  };
  const numbers = Array.from({ length: 50 }, (_, at) => String(at).padStart(2, '0'));

  test('cannot be told while Redis is away, so a request need not find that out twice', async () => {
    const impatient = redis.client.duplicate({ lazyConnect: true, commandTimeout: 100 });
    onTestFinished(() => impatient.disconnect());
    await impatient.connect();
    const resume = await redis.suspend();
    onTestFinished(() => resume());
    const { read } = makeCacheEntries({ redis: impatient, keys });
    await expect(read(text, limitsOf(), 'x')).rejects.toMatchObject({ code: 'queue_unavailable' });
  });

  test('are at most as many as the manifest says, the newest ones', async () => {
    onTestFinished(() => correctClock(0));
    const limits = limitsOf({ entriesMax: 8 });
    for (const [at, digest] of numbers.entries()) {
      correctClock(-5 * at);
      await write(limits, [digest]);
    }
    expect((await sizes()).held).toBe(8);
    expect(await redis.client.zrange(keys.cacheAges(text.queue), '0', '-1')).toEqual(
      numbers.slice(-8),
    );
  });

  test('have at most as many bytes as the manifest says', async () => {
    await write(limitsOf(), ['one']);
    const { bytes } = await sizes();
    const bytesMax = bytes * 100;
    await write(
      limitsOf({ bytesMax }),
      numbers.flatMap((a) => ['x', 'y', 'z'].map((b) => a + b)),
    );
    const { held, bytes: kept } = await sizes();
    expect(kept).toBeLessThanOrEqual(bytesMax);
    expect(held).toBe(100);
  });

  test('that are large are not kept, so one does not drop the others', async () => {
    await write(limitsOf(), ['one']);
    const { bytes } = await sizes();
    await write(limitsOf({ bytesMax: bytes * 90 }), ['two']);
    expect((await sizes()).held).toBe(1);
  });

  test('that are written again count once', async () => {
    await write(limitsOf(), ['one', 'one', 'one']);
    expect((await sizes()).held).toBe(1);
  });

  test('count as missing when they are too old, are dropped by the next write, and expire', async () => {
    onTestFinished(() => correctClock(0));
    const limits = limitsOf({ keepMs: 60_000 });
    await write(limits, numbers);
    expect((await entries().read(text, limits, '01'))?.replies[0]?.id).toBe('a');
    correctClock(-60_001);
    expect(await entries().read(text, limits, '01')).toBeUndefined();
    await write(limits, ['new']);
    expect((await sizes()).held).toBe(1);
    for (const key of await redis.client.keys('*')) {
      expect(await redis.client.pttl(key)).toBeGreaterThan(0);
    }
  });
});
