import { readFileSync } from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Child, spawnChild } from '../../cli/processes/children.js';
import { findFreePort } from '../../cli/redis/redis.js';
import { makeKeys } from '../../shared/redis/keys.js';
import { packageVersion } from '../../shared/version.js';
import {
  type Answer,
  ask,
  openRedisForAll,
  post,
  root,
  type Service,
  serviceEnvironment,
  startService,
  waitUntil,
} from '../harness.js';
import { expectedClasses, photograph, readEfficientNet } from '../integration/photographs.js';

interface Question {
  readonly id: number;
  readonly answerId: number;
  readonly question: string;
  readonly answer: string;
}

const image = '/v1/models/efficientnet-lite0';
const text = '/v1/models/faq-matcher';
const cat = photograph('siamese-cat.jpg');
const catBase64 = cat.toString('base64');
const questions: readonly Question[] = JSON.parse(
  readFileSync(path.join(root, 'models/faq-matcher/questions.json'), 'utf8'),
);
const asked = questions[0] as Question;

const redis = await openRedisForAll();
let service: Service;

beforeAll(async () => {
  service = await startService({
    redisUrl: redis.url,
    // A client that aborts while connecting leaves a connection without a request. The API waits
    // for it when it shuts down, so keep that short.
    environment: { SHUTDOWN_MS: '2000' },
  });
});

afterAll(() => service?.close());

describe('POST /score with a question', () => {
  it('answers all known questions, likeliest first, and the time it took', async () => {
    const { status, body } = await post(`${service.url}/score`, { input: asked.question });
    expect(status).toBe(200);
    expect(Object.keys(body)).toEqual(['result']);
    const [ranking, time, ...others] = body.result as [[number, number, number][], string];
    expect(others).toEqual([]);
    expect(time).toMatch(/^Computed in \d+(\.\d+)? ms$/);
    expect(ranking[0]?.slice(0, 2)).toEqual([asked.id, asked.answerId]);
    expect(ranking.map(([id]) => id).sort()).toEqual(questions.map(({ id }) => id).sort());
    for (const [id, answerId, score] of ranking) {
      expect(answerId).toBe(questions.find((question) => question.id === id)?.answerId);
      expect(score).toBeGreaterThanOrEqual(0);
      expect(score).toBeLessThanOrEqual(1);
    }
    expectDescending(ranking.map(([, , score]) => score));
  });

  it('uses the model named in the query', async () => {
    const url = `${service.url}/score?model=faq-matcher`;
    const { body } = await post(url, { input: asked.question });
    expect(body.result[0]).toHaveLength(questions.length);
  });
});

describe('POST /score with images', () => {
  it.each([
    ['bare', catBase64],
    ['in literal double quotes', `"${catBase64}"`],
    ['as Python prints bytes', `b'${catBase64}'`],
    ['as a data URL', `data:image/jpeg;base64,${catBase64}`],
    ['as a data URL in literal quotes', `"data:image/jpeg;base64,${catBase64}"`],
    ['with line breaks', catBase64.replaceAll(/(.{76})/g, '$1\n')],
  ])('answers the best three classes with their ids for base64 %s', async (_what, base64) => {
    const { status, body } = await post(`${service.url}/score`, { input: { cat: base64 } });
    expect(status).toBe(200);
    expect(Object.keys(body)).toEqual(['result']);
    const [classes, time, ...others] = body.result;
    expect(others).toEqual([]);
    expect(time).toMatch(/^Computed in \d+(\.\d+)? ms$/);
    expect(Object.keys(classes)).toEqual(['cat']);
    expect(classes.cat).toHaveLength(3);
    expect(classes.cat[0]).toEqual(['n02123597 Siamese cat, Siamese', expect.closeTo(0.984, 2)]);
    for (const [label] of classes.cat) expect(label).toMatch(/^n\d{8} \S/);
    expectDescending(classes.cat.map(([, score]: [string, number]) => score));
  });

  it('answers several images by their names, whatever the names are', async () => {
    const files = {
      'cat.jpg': 'siamese-cat.jpg',
      '1': 'coffee.png',
      'ein schöner Name': 'camera.png',
      constructor: 'chelsea.png',
      '': 'egyptian-cat.jpg',
    };
    const entries = Object.entries(files).map(([name, file]) => [
      name,
      photograph(file).toString('base64'),
    ]);
    const { status, body } = await post(`${service.url}/score`, {
      input: Object.fromEntries(entries),
    });
    expect(status).toBe(200);
    const [classes, , ...others] = body.result;
    expect(others).toEqual([]);
    expect(Object.keys(classes).sort()).toEqual(Object.keys(files).sort());
    for (const [name, file] of Object.entries(files)) {
      expect(expectedClasses[file], file).toContain(classes[name][0][0]);
    }
  });

  it('uses the model named in the query, even for a bare base64 string', async () => {
    const url = `${service.url}/score?model=efficientnet-lite0`;
    const { status, body } = await post(url, { input: catBase64 });
    expect(status).toBe(200);
    expect(body.result[0]).toEqual({
      image: expect.arrayContaining([['n02123597 Siamese cat, Siamese', expect.any(Number)]]),
    });
  });

  it('accepts a content type with a charset', async () => {
    const answer = await post(
      `${service.url}/score`,
      { input: { cat: catBase64 } },
      { 'content-type': 'application/json; charset=utf-8' },
    );
    expect(answer.status).toBe(200);
  });
});

describe('a client of the reference', () => {
  it('gets "Healthy" from / and the version from /version', async () => {
    const health = await ask(`${service.url}/`);
    expect(health).toMatchObject({ status: 200, body: 'Healthy' });
    expect(health.headers.get('content-type')).toMatch(/^text\/plain/);
    const version = await ask(`${service.url}/version`);
    expect(version).toMatchObject({ status: 200, body: packageVersion() });
    expect(version.headers.get('content-type')).toMatch(/^text\/plain/);
  });
});

describe('POST /v1/models/{model}/score with an image', () => {
  const ways: [what: string, send: (url: string) => Promise<Answer>][] = [
    ['base64 in JSON', (url) => post(url, { input: catBase64 })],
    ['named base64 in JSON', (url) => post(url, { input: { cat: catBase64 } })],
    ['a file in a form', (url) => sendForm(url, { file: new Blob([new Uint8Array(cat)]) })],
    ['base64 in a form', (url) => sendForm(url, { input: catBase64 })],
    ['raw bytes of its type', (url) => sendBytes(url, cat, 'image/jpeg')],
    ['raw bytes of another image type', (url) => sendBytes(url, cat, 'image/png')],
    ['raw bytes of no type', (url) => sendBytes(url, cat, 'application/octet-stream')],
  ];

  it.each(ways)('answers the best classes: %s', async (_what, send) => {
    for (const route of [`${image}/score`, `${image}/versions/1/score`]) {
      const answer = await send(service.url + route);
      expect(answer.status).toBe(200);
      expect(answer.headers.get('content-type')).toMatch(/^application\/json/);
      expectNativeAnswer(answer.body, 'efficientnet-lite0');
      expect(answer.body.predictions).toHaveLength(3);
      expect(answer.body.predictions[0]).toEqual({
        label: 'Siamese cat, Siamese',
        score: expect.closeTo(0.984, 2),
        id: 'n02123597',
      });
    }
  });

  it.each([1, 2, 15, 16, 17, 1000])('answers as many classes as asked for: top=%i', async (top) => {
    const url = `${service.url}${image}/score`;
    const answers = await Promise.all([
      sendBytes(`${url}?top=${top}`, cat, 'image/jpeg'),
      post(url, { input: catBase64, top }),
      sendForm(url, { input: catBase64, top: String(top) }),
    ]);
    for (const { status, body } of answers) {
      expect(status).toBe(200);
      expect(body.predictions).toHaveLength(top);
      expect(body.predictions[0].id).toBe('n02123597');
      expectDescending(body.predictions.map(({ score }: { score: number }) => score));
      const ids = new Set(body.predictions.map(({ id }: { id: string }) => id));
      expect(ids.size).toBe(top);
    }
  });

  it('gives every request its own id', async () => {
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => sendBytes(`${service.url}${image}/score`, cat, 'image/jpeg')),
    );
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(5);
  });
});

describe('POST /v1/models/{model}/score with a text', () => {
  const ways: [what: string, send: (url: string) => Promise<Answer>][] = [
    ['JSON', (url) => post(url, { input: asked.question })],
    ['plain text', (url) => sendBytes(url, Buffer.from(asked.question), 'text/plain')],
    ['a field of a form', (url) => sendForm(url, { input: asked.question })],
    ['a file in a form', (url) => sendForm(url, { file: new Blob([asked.question]) })],
  ];

  it.each(ways)('answers the best known questions with their answers: %s', async (_what, send) => {
    const { status, body } = await send(`${service.url}${text}/score`);
    expect(status).toBe(200);
    expectNativeAnswer(body, 'faq-matcher', ['known']);
    expect(body.known).toBe(true);
    expect(body.predictions).toHaveLength(3);
    expect(body.predictions[0]).toMatchObject({
      score: expect.any(Number),
      question: asked.question,
      answer: asked.answer,
      questionId: asked.id,
      answerId: asked.answerId,
    });
  });

  it('accepts text in any script, with quotes and line breaks', async () => {
    for (const input of ['Как сравнить объекты?', '日本語の文字列', '"a"\n\'b\'\t\\ {} 🦊']) {
      const { status, body } = await post(`${service.url}${text}/score`, { input });
      expect(status).toBe(200);
      expect(body.predictions).toHaveLength(3);
    }
  });

  it.each(['😀', '🦊🦊', 'Как сравнить объекты?', '日本語の文字列', '?', 'zzzz qqqq'])(
    'says that the model knows nothing of %j',
    async (input) => {
      const { status, body } = await post(`${service.url}${text}/score`, { input });
      expect(status).toBe(200);
      expect(body.known).toBe(false);
      expect(body.predictions).toHaveLength(3);
      const reference = await post(`${service.url}/score`, { input });
      expect(reference.body).toEqual({ result: expect.any(Array), known: false });
      expect(reference.body.result[0]).toHaveLength(questions.length);
    },
  );
});

describe('the service', () => {
  it('lists its models with their inputs, outputs and live workers', async () => {
    const { status, body } = await ask(`${service.url}/v1/models`);
    expect(status).toBe(200);
    expect(body.models).toHaveLength(2);
    expect(body.models).toContainEqual(
      expect.objectContaining({
        name: 'efficientnet-lite0',
        version: '1',
        description: expect.any(String),
        input: expect.objectContaining({ kind: 'image', width: 224, height: 224 }),
        output: { kind: 'classification', classes: 1000, top: 3, activation: 'none' },
        batchMax: 4,
        deadlineMs: 30_000,
        workers: 1,
      }),
    );
    expect(body.models).toContainEqual(
      expect.objectContaining({
        name: 'faq-matcher',
        input: expect.objectContaining({ kind: 'text' }),
        output: { kind: 'ranking', classes: questions.length, top: 3, activation: 'none' },
        workers: 1,
      }),
    );
    // The list must not reveal where the files are.
    expect(JSON.stringify(body)).not.toContain(root);
  });

  it('says that it is live and ready', async () => {
    expect(await ask(`${service.url}/v2/health/live`)).toMatchObject({ status: 200 });
    expect(await ask(`${service.url}/v2/health/ready`)).toMatchObject({ status: 200 });
  });
});

describe('many requests at once', () => {
  const count = 64;

  it('each get their own answer, although they share batches', async () => {
    const pictures = await makePictures(count);
    const alone: Answer[] = [];
    for (const picture of pictures) alone.push(await scorePicture(picture));
    // All scores differ, so a swapped answer would be noticed.
    expect(new Set(alone.map(({ body }) => body.predictions[0].score)).size).toBe(count);

    const together = await Promise.all(pictures.map((picture) => scorePicture(picture)));
    for (const [index, { status, body }] of together.entries()) {
      expect(status).toBe(200);
      const expected = alone[index]?.body.predictions as { id: string; score: number }[];
      const best = body.predictions.find(({ id }: { id: string }) => id === expected[0]?.id);
      expect(best?.score).toBeCloseTo(expected[0]?.score as number, 4);
      expect(body.predictions[0].score).toBeCloseTo(expected[0]?.score as number, 4);
    }
    const sizes = together.map(({ body }) => body.timing.batchSize as number);
    expect(Math.max(...sizes)).toBeGreaterThan(1);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(16);
  });

  it('are answered while other clients hang up', async () => {
    const staying = Array.from({ length: 20 }, () => scorePicture(cat));
    const leaving = Array.from({ length: 60 }, () => {
      const abort = new AbortController();
      const answer = ask(`${service.url}${image}/score`, {
        method: 'POST',
        body: new Uint8Array(cat),
        headers: { 'content-type': 'image/jpeg' },
        signal: abort.signal,
      });
      const gone = answer.then(
        () => 'answered',
        (error: Error) => error.name,
      );
      return { abort, gone };
    });
    await Promise.race(staying);
    for (const { abort } of leaving) abort.abort();
    for (const { status, body } of await Promise.all(staying)) {
      expect(status).toBe(200);
      expect(body.predictions[0].id).toBe('n02123597');
    }
    expect(await Promise.all(leaving.map(({ gone }) => gone))).toContain('AbortError');
    expect(await scorePicture(cat)).toMatchObject({ status: 200 });
  });
});

describe('a service whose processes come and go', () => {
  const prefix = 'coming-and-going';
  const waiting = `${prefix}:${readEfficientNet().queue}:wait`;

  it('keeps a request until a worker comes, and survives a restart of the API', async () => {
    const port = await findFreePort();
    const url = `http://127.0.0.1:${port}`;
    const environment = serviceEnvironment({
      redisUrl: redis.url,
      models: 'efficientnet-lite0',
      environment: { QUEUE_PREFIX: prefix, PORT: String(port) },
    });
    const children: Child[] = [];
    const start = async (role: 'api' | 'worker') => {
      const child = spawnChild(role, environment);
      children.push(child);
      await child.ready;
      return child;
    };
    try {
      const api = await start('api');
      expect((await ask(`${url}/v1/models`)).body.models[0].workers).toBe(0);
      expect((await ask(`${url}/v2/health/ready`)).status).toBe(200);
      const early = scorePicture(cat, url);
      await waitUntil(
        'the request waits in the queue',
        async () => (await redis.client.llen(waiting)) === 1,
      );

      await start('worker');
      const { status, body } = await early;
      expect(status).toBe(200);
      expect(body.predictions[0].id).toBe('n02123597');
      expect((await ask(`${url}/v1/models`)).body.models[0].workers).toBe(1);

      await api.close();
      await expect(ask(`${url}/v2/health/live`)).rejects.toThrow();
      await start('api');
      expect(await scorePicture(cat, url)).toMatchObject({ status: 200 });
    } finally {
      await Promise.all(children.map((child) => child.close()));
    }
    // Processes that exit cleanly remove their entries in Redis.
    const keys = makeKeys(prefix);
    expect(await redis.client.zcard(keys.workers(readEfficientNet().queue))).toBe(0);
    expect(await redis.client.keys(`${prefix}:replies:*`)).toEqual([]);
    expect(await redis.client.keys(`${prefix}:payload:*`)).toEqual([]);
  });
});

function expectNativeAnswer(body: Answer['body'], model: string, keys: string[] = []): void {
  const common = ['id', 'model', 'predictions', 'timing', 'version'];
  expect(Object.keys(body).toSorted()).toEqual([...common, ...keys].toSorted());
  expect(body).toMatchObject({ model, version: '1' });
  expect(body.id).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  const { queueMs, batchMs, computeMs, batchSize, ...others } = body.timing;
  expect(others).toEqual({});
  for (const ms of [queueMs, batchMs, computeMs]) {
    expect(ms).toBeGreaterThanOrEqual(0);
    expect(ms).toBeLessThan(30_000);
  }
  expect(computeMs).toBeGreaterThan(0);
  expect(batchSize).toBe(1);
  expectDescending(body.predictions.map(({ score }: { score: number }) => score));
}

function expectDescending(scores: readonly number[]): void {
  expect(scores).toEqual([...scores].sort((a, b) => b - a));
}

function scorePicture(picture: Buffer, url = service.url): Promise<Answer> {
  return sendBytes(`${url}${image}/score`, picture, 'image/jpeg');
}

function sendBytes(url: string, bytes: Buffer, type: string): Promise<Answer> {
  const headers = { 'content-type': type };
  return ask(url, { method: 'POST', body: new Uint8Array(bytes), headers });
}

function sendForm(url: string, parts: Record<string, string | Blob>): Promise<Answer> {
  const form = new FormData();
  for (const [name, value] of Object.entries(parts)) form.append(name, value);
  return ask(url, { method: 'POST', body: form });
}

/** Returns different sections of a few photographs. */
async function makePictures(count: number): Promise<Buffer[]> {
  const names = ['china.jpg', 'coffee.png', 'rocket.jpg', 'grace-hopper.jpg'];
  return Promise.all(
    Array.from({ length: count }, (_, at) => {
      const region = { left: at * 2, top: at, width: 300, height: 280 };
      return sharp(photograph(names[at % names.length] as string))
        .extract(region)
        .jpeg()
        .toBuffer();
    }),
  );
}
