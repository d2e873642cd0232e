// How `npm run score` asks a service that is busy or away, with a server that answers as each test says.

import { expect, test } from 'vitest';
import type { CommandInput } from '../../cli/scoring/inputs.js';
import { Service, type ServiceOptions } from '../../cli/scoring/service.js';
import { type Answer, hangUp, json, openPeer, problem } from '../peer.js';

const model = { name: 'm', version: '1', input: { kind: 'text' }, deadlineMs: 500 };
const models = { models: [{ ...model, traffic: { share: 1 } }] };
const score = { model: 'm', version: '1', id: 'x', predictions: [] };
const input: CommandInput = {
  ...{ index: 0, name: undefined, digest: 'd', fault: undefined },
  contentType: 'application/json',
  body: '{"input": "a"}',
};

const limits = { 'RateLimit-Policy': '"concurrency";q=2' };
const list = json(models, 200, limits);

function open(answers: readonly Answer[], options: Partial<ServiceOptions> = {}) {
  return openWith([list, ...answers], options);
}

async function openWith(answers: readonly Answer[], options: Partial<ServiceOptions> = {}) {
  const peer = await openPeer(...answers);
  const service = await Service.open(
    {
      ...{ url: peer.url, key: undefined, model: 'm', top: '2', concurrency: 16, triesMax: 3 },
      ...options,
    },
    'lines',
  );
  return { peer, service };
}

test('sends an input again as the client does, and after its deadline, but for no longer than it is told to', async () => {
  const date = new Date(Date.now() + 2000).toUTCString();
  const busy = problem(503, 'shutting_down', { 'Retry-After': date });
  const late = problem(504, 'deadline_exceeded');
  const { peer, service } = await open([busy, late, json(score), hangUp, late, late]);
  expect(service.concurrency).toBe(2);
  expect(await service.score(input)).toEqual(score);
  expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(date));
  const [, ...sent] = peer.requests;
  expect(sent.map(({ url }) => url)).toEqual(Array(3).fill('/v1/models/m/score?top=2'));
  for (const { headers } of sent) expect(headers['x-priority']).toBe('bulk');
  // No result of so many inputs has to be kept.
  expect(peer.keys()).toEqual(Array(4).fill(undefined));

  expect(await service.score(input)).toMatchObject({ problem: { code: 'deadline_exceeded' } });
  expect(peer.requests).toHaveLength(7);
});

test('waits for a service that is busy or away when the command starts, if it answers', async () => {
  const date = new Date(Date.now() + 2000).toUTCString();
  const away = problem(503, 'queue_unavailable', { 'Retry-After': date });
  const { peer, service } = await openWith([away, hangUp, list, json(score)]);
  expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(date));
  expect(await service.score(input)).toEqual(score);
  expect(peer.requests).toHaveLength(4);
  await expect(openWith([hangUp, list])).rejects.toThrow(
    /^Expected a service at \S+; got: other side closed\. Start the service there/,
  );
  await expect(
    openWith([problem(503, 'queue_unavailable'), list], { triesMax: 1 }),
  ).rejects.toThrow('that lists its models; got: Because.');
});

test.each<[string, Answer, string]>([
  ['is away', hangUp, 'could not be reached in 2 tries'],
  ['lets nobody in any more', problem(401, 'key_unknown'), 'lets nobody in with this: Because.'],
  ['has the model no more', problem(404, 'model_not_found'), 'has the model no more: Because.'],
])('gives up the run if the service %s', async (_what, answer, expected) => {
  const { service } = await open([answer], { triesMax: 2 });
  await expect(service.score(input)).rejects.toThrow(expected);
});

test.each<[string, Answer, object]>([
  ['its own problem', problem(400, 'input_invalid'), { code: 'input_invalid' }],
  ['what a proxy says', json('no', 413), { status: 413 }],
])('fails an input alone with %s', async (_what, answer, expected) => {
  const { service } = await open([answer]);
  expect(await service.score(input)).toMatchObject({ problem: expected });
});

const inputs = [0, 1, 2, 3].map((index) => ({ ...input, index, body: `{"input": "${index}"}` }));
const ask = (code: string, status = 429) => ({ problem: { code, status, detail: 'Because.' } });

/** Answers in lines, and ends the connection in the middle of another one if it is cut off. */
const lines =
  (answers: readonly object[], isCutOff = false): Answer =>
  (response) => {
    response.writeHead(200, { 'Content-Type': 'application/x-ndjson' });
    const whole = answers.map((answer) => `${JSON.stringify(answer)}\n`).join('');
    if (isCutOff) response.write(`${whole}{"index":3,`, () => response.socket?.destroy());
    else response.end(whole);
  };

test.each<[string, Answer, alone: number]>([
  [
    'that it leaves without an answer, or with a problem that may pass',
    lines([
      { index: 2, ...score },
      { index: 0, ...ask('overloaded') },
      { index: 1, ...ask('input_invalid', 400) },
      { nextIndex: 3, ...ask('shutting_down', 503) },
    ]),
    2,
  ],
  [
    'whose answers are lost',
    lines(
      [
        { index: 2, ...score },
        { index: 1, ...ask('input_invalid', 400) },
      ],
      true,
    ),
    2,
  ],
  ['of a stream that is refused', problem(429, 'rate_limited'), 4],
  ['of a stream that something else has answered', (response) => response.end('<html>'), 4],
])('sends several lines as a stream, and those alone %s', async (_what, stream, alone) => {
  const { peer, service } = await open([stream, json(score)]);
  const answers: [number, unknown][] = [];
  await service.scoreGroup(inputs, async ({ index }, { problem: found }) => {
    answers.push([index, (found as { code?: unknown } | undefined)?.code]);
  });
  const wrong = alone === 4 ? undefined : 'input_invalid';
  expect(answers.toSorted(([a], [b]) => a - b)).toEqual([
    [0, undefined],
    [1, wrong],
    [2, undefined],
    [3, undefined],
  ]);
  const types = peer.requests.slice(1).map(({ headers }) => headers['content-type']);
  const own: string[] = Array(alone).fill('application/json');
  expect(types).toEqual(['application/x-ndjson', ...own]);
  for (const { headers, url } of peer.requests.slice(1)) {
    expect([headers['x-priority'], url]).toEqual(['bulk', '/v1/models/m/score?top=2']);
  }
});

test('gives up a stream of lines if the service lets nobody in any more, or an answer cannot be written', async () => {
  const unknown = problem(401, 'key_unknown');
  const over = lines([
    { index: 0, ...score },
    { nextIndex: 1, ...ask('key_unknown', 401) },
  ]);
  const { service } = await open([over, unknown]);
  await expect(service.scoreGroup(inputs, async () => {})).rejects.toThrow('lets nobody in');

  const full = await open([lines(inputs.map(({ index }) => ({ index, ...score })))]);
  const fail = () => Promise.reject(new Error('no space left'));
  await expect(full.service.scoreGroup(inputs, fail)).rejects.toThrow('no space left');
  expect(full.peer.requests).toHaveLength(2);
});
