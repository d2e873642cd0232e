// Tests answers with long lists of numbers and texts: what they may take of memory and of the time of others.

import { describe, expect, test } from 'vitest';
import { decodeStrings, encodeStrings, type Tensor } from '../../shared/tensors/tensors.js';
import { post, waitUntil } from '../harness.js';
import { makeSampleModel } from '../unit/sample-model.js';
import { imageModel, makeReply, openScene } from './http-scene.js';

const address = '/v1/models/text/score';
const answer = { output: { kind: 'tensors' }, example: undefined };

/** Starts an API whose models answer each text with the tensor of that name. */
function openWith(
  tensors: Readonly<Record<string, Omit<Tensor, 'name'>>>,
  options: Parameters<typeof openScene>[0] = {},
) {
  return openScene({
    models: [makeSampleModel({ name: 'text', ...answer })],
    submit: ({ items }) =>
      items.map(async ({ id, inputs: [input] }) => {
        const [name = ''] = input?.datatype === 'BYTES' ? decodeStrings(input.data) : ['long'];
        return { ...makeReply(id), outputs: [{ name: 'out', ...tensors[name] } as Tensor] };
      }),
    ...options,
  });
}

const texts = (text: string) =>
  ({ datatype: 'BYTES', shape: [1, 1], data: encodeStrings([text]) }) as const;
const numbers = (count: number) =>
  ({ datatype: 'INT32', shape: [1, count], data: new Uint8Array(4 * count) }) as const;

describe('the answer to a list of inputs', () => {
  test('fits into memory, and no more inputs are let in beyond that', async () => {
    const tensors = { short: texts('short'), long: texts('\0'.repeat(20_000_000)) };
    const scene = await openWith(tensors, { configuration: { INPUTS_IN_FLIGHT_MAX: 1 } });
    const inputs = ['short', 'long', 'short'];
    const { status, body } = await post(scene.url + address, { inputs });
    expect([status, body.failed]).toEqual([200, 2]);
    expect(body.results).toMatchObject([
      { index: 0, predictions: [{ data: ['short'] }] },
      { index: 1, problem: { code: 'result_too_large' } },
      { index: 2, problem: { code: 'result_too_large' } },
    ]);
    expect(scene.submissions).toHaveLength(2);
  });
});

describe('an answer of tensors', () => {
  test('may have so many numbers for all pictures of a request together', async () => {
    const { input } = imageModel.manifest;
    const model = makeSampleModel({ name: 'image', input, ...answer });
    const scene = await openWith({ long: numbers(3_000_000) }, { models: [model] });
    const picture =
      'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==';
    const one = await post(`${scene.url}/score`, { input: { a: picture } });
    expect(one.status).toBe(200);
    expect(await post(`${scene.url}/score`, { input: { a: picture, b: picture } })).toMatchObject({
      status: 422,
      body: { code: 'result_too_large' },
    });
  });

  test('keeps its permit while it is written, and gives it back when its client leaves', async () => {
    const tensors = { short: numbers(1), long: numbers(4_000_000) };
    const scene = await openWith(tensors, { configuration: { PERMITS_MAX: 1 } });
    const leaving = new AbortController();
    const send = (input: string, signal?: AbortSignal) =>
      post(scene.url + address, { input }, {}, signal);
    const long = send('long', leaving.signal).catch(() => 'left');
    await waitUntil('the long answer is computed', () => scene.submissions.length === 1);
    expect(await send('short')).toMatchObject({ status: 429, body: { code: 'overloaded' } });
    leaving.abort();
    expect(await long).toBe('left');
    await waitUntil('there is room again', async () => (await send('short')).status === 200);
  });
});
