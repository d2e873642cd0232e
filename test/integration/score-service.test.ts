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
    /^Expected a service at \S+; got: [A-Z_]+\. See/,
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
