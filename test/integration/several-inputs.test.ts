// Tests requests with several inputs: lists, forms and streams of lines.

import { gzipSync } from 'node:zlib';
import { describe, expect, onTestFinished, test } from 'vitest';
import { anyone } from '../../api/access/caller.js';
import type { Slot } from '../../api/access/limiter.js';
import type { Submission } from '../../api/queue/dispatcher.js';
import { ScorelineError } from '../../shared/errors.js';
import { ask, post, waitUntil } from '../harness.js';
import { imageModel, makeReply, openScene, openToAnyone, textModel } from './http-scene.js';
import { LineClient } from './line-client.js';

const address = '/v1/models/text/score';
const lines = { 'content-type': 'application/x-ndjson' };

/** Opens a scene whose items wait until the test lets some of them be answered. */
async function openWaiting(options: Parameters<typeof openScene>[0] = {}) {
  const waiting: (() => void)[] = [];
  let most = 0;
  const scene = await openScene({
    ...options,
    submit: ({ items, ending }: Submission) =>
      items.map(
        ({ id }) =>
          new Promise((resolve, reject) => {
            waiting.push(() => resolve(makeReply(id)));
            most = Math.max(most, waiting.length);
            ending.onEnd(() => reject(ending.reason));
          }),
      ),
  });
  return {
    scene,
    /** How many items wait. */
    waiting: () => waiting.length,
    /** The most items that have waited at a time. */
    most: () => most,
    /** Answers the items that have waited longest. */
    answer: (count: number) => {
      for (const answer of waiting.splice(0, count)) answer();
    },
  };
}

function openLines(url: string, options?: ConstructorParameters<typeof LineClient>[1]): LineClient {
  const client = new LineClient(`${url}${address}`, options);
  onTestFinished(() => client.hangUp());
  return client;
}

async function postLines(url: string, body: string | Buffer, headers = {}): Promise<unknown[]> {
  const answer = await ask(`${url}${address}`, {
    ...{ method: 'POST', headers: { ...lines, ...headers }, body: body as Uint8Array<ArrayBuffer> },
  });
  expect([answer.status, answer.headers.get('content-type')]).toEqual([
    200,
    'application/x-ndjson',
  ]);
  return answer.body.split('\n').filter(Boolean).map(parse);
}

function parse(line: string) {
  return JSON.parse(line);
}

// biome-ignore lint/suspicious/noExplicitAny: tests look into lines of any form.
const byIndex = (a: any, b: any) => a.index - b.index;

describe('a list of inputs', () => {
  test('is answered in its order, and each input fails on its own', async () => {
    const scene = await openScene();
    const inputs = ['a', '', 5, 'b', 'x'.repeat(100_000)];
    const { status, body } = await post(`${scene.url}${address}`, { inputs, top: 2 });
    expect(status).toBe(200);
    expect(body.failed).toBe(3);
    // biome-ignore lint/suspicious/noExplicitAny: results have one of two forms.
    expect(body.results.map((each: any) => [each.index, each.problem?.code])).toEqual([
      [0, undefined],
      [1, 'input_missing'],
      [2, 'input_invalid'],
      [3, undefined],
      [4, 'text_too_long'],
    ]);
    const [first, second] = body.results;
    expect(first).toMatchObject({ model: 'text', version: textModel.version });
    expect(first.predictions).toHaveLength(2);
    expect(second.problem).toMatchObject({
      status: 400,
      type: 'urn:scoreline:error:input_missing',
    });
    expect(scene.submissions.flatMap(({ items }) => items)).toHaveLength(2);
  });

  test.each([
    ['is empty', { inputs: [] }, 'input_missing'],
    ['is no list', { inputs: 'a' }, 'input_invalid'],
    ['stands beside "input"', { inputs: ['a'], input: 'b' }, 'input_invalid'],
    ['is too long', { inputs: ['a', 'b', 'c', 'd'] }, 'too_many_inputs'],
    [
      'is too long, whatever is beside it',
      { inputs: 'abcd'.split(''), top: 'x' },
      'too_many_inputs',
    ],
    ['has a wrong "top"', { inputs: ['a'], top: 'all' }, 'parameter_invalid'],
    ['has a wrong deadline', { inputs: ['a'], deadlineMs: -1 }, 'deadline_invalid'],
  ])('is refused as a whole when it %s', async (_what, body, code) => {
    const scene = await openScene({ configuration: { INPUTS_PER_REQUEST_MAX: 3 } });
    const answer = await post(`${scene.url}${address}`, body);
    expect([answer.status, answer.body.code]).toEqual([400, code]);
    expect(scene.submissions).toEqual([]);
  });

  test('cannot become a job', async () => {
    const scene = await openScene();
    const asked = { prefer: 'respond-async' };
    const list = await post(`${scene.url}${address}`, { inputs: ['a'] }, asked);
    expect([list.status, list.body.code]).toEqual([400, 'preference_invalid']);
    const stream = await post(`${scene.url}${address}?async`, {}, lines);
    expect([stream.status, stream.body.code]).toEqual([400, 'preference_invalid']);
  });

  test('has a few inputs in flight, each with a permit, and then the next ones', async () => {
    const { scene, waiting, most, answer } = await openWaiting({
      configuration: { INPUTS_IN_FLIGHT_MAX: 4 },
    });
    const inputs = Array.from({ length: 10 }, (_, at) => `question ${at}`);
    const answering = post(`${scene.url}${address}`, { inputs });
    await waitUntil('four wait', () => waiting() === 4);
    expect(scene.admission.inFlight).toBe(4);
    for (const next of [4, 2]) {
      answer(4);
      await waitUntil('the next ones wait', () => waiting() === next);
    }
    answer(2);
    expect((await answering).body).toMatchObject({ failed: 0 });
    expect(most()).toBe(4);
  });

  test('says at its deadline which inputs have no answer', async () => {
    const { scene, waiting, answer } = await openWaiting({
      configuration: { INPUTS_IN_FLIGHT_MAX: 2 },
    });
    const answering = post(`${scene.url}${address}`, { inputs: ['a', 'b', 'c'], deadlineMs: 3000 });
    await waitUntil('two wait', () => waiting() === 2);
    answer(1);
    const { status, body } = await answering;
    expect([status, body.failed]).toEqual([200, 2]);
    // biome-ignore lint/suspicious/noExplicitAny: results have one of two forms.
    expect(body.results.map(({ problem }: any) => problem?.code)).toEqual([
      undefined,
      'deadline_exceeded',
      'deadline_exceeded',
    ]);
  });

  test('is answered in lines if its client accepts them, and so is a single input', async () => {
    const scene = await openScene();
    const accept = { accept: 'application/x-ndjson' };
    const answer = await post(`${scene.url}${address}`, { inputs: ['a', 5] }, accept);
    expect(answer.headers.get('content-type')).toBe('application/x-ndjson');
    const single = await post(`${scene.url}${address}`, { input: 'a' }, accept);
    expect(single.body).toContain('"index":0');
    for (const both of ['application/json, application/x-ndjson;q=0.1', '*/*']) {
      const whole = await post(`${scene.url}${address}`, { inputs: ['a'] }, { accept: both });
      expect(whole.headers.get('content-type')).toContain('application/json');
    }
  });
});

describe('a form with several inputs', () => {
  const part = (disposition: string, text: string) =>
    `--x\r\nContent-Disposition: form-data; ${disposition}\r\n\r\n${text}\r\n`;
  const type = { 'content-type': 'multipart/form-data; boundary=x' };
  const send = (url: string, parts: readonly string[]) =>
    ask(url, { method: 'POST', headers: type, body: `${parts.join('')}--x--\r\n` });

  test('is answered in its order, whatever is a file', async () => {
    const scene = await openScene();
    const { body } = await send(`${scene.url}${address}`, [
      part('name="input"', 'first'),
      part('name="a"; filename="second.txt"', 'second'),
      part('name="input"', 'third'),
    ]);
    const ids = body.results.map(({ id }: { id: string }) => id);
    expect(ids[1]).toBe('second.txt');
    expect(new Set(ids).size).toBe(3);
  });

  test('is answered with the names of its files', async () => {
    const scene = await openScene();
    const { status, body } = await send(`${scene.url}${address}`, [
      part('name="a"; filename="one.txt"', 'first'),
      part('name="b"; filename="two.txt"', ''),
      part('name="input"', 'third'),
      part('name="top"', '1'),
    ]);
    expect([status, body.failed]).toEqual([200, 1]);
    const [first, second, third] = body.results;
    expect(first).toMatchObject({ index: 0, id: 'one.txt' });
    expect(second).toMatchObject({ index: 1, id: 'two.txt', problem: { code: 'input_missing' } });
    expect(third.predictions).toHaveLength(1);
  });

  test('may have several fields, and is refused with more parts than inputs', async () => {
    const scene = await openScene({ configuration: { INPUTS_PER_REQUEST_MAX: 3 } });
    const fields = (count: number) =>
      Array.from({ length: count }, () => part('name="input"', 'a'));
    expect((await send(`${scene.url}${address}`, fields(3))).body.results).toHaveLength(3);
    for (const count of [4, 100]) {
      const { status, body } = await send(`${scene.url}${address}`, fields(count));
      expect([status, body.code]).toEqual([400, 'too_many_inputs']);
    }
  });
});

describe('a stream of lines', () => {
  test('is answered line by line, and broken lines fail alone', async () => {
    const scene = await openScene({ configuration: { BODY_BYTES_MAX: 2000 } });
    const body = [
      '\ufeff{"input": "first", "id": "mine", "top": 1}',
      '{"input": "cut off',
      '',
      '   ',
      '{"input": "third", "id": 7}\r',
      '["a list"]',
      `{"id": "long", "input": "${'x'.repeat(3000)}"}`,
      '{"id": "nothing"}',
      '{"id": {}, "input": "a"}',
      '{"id": "top", "input": "a", "top": 0}',
      '{"id": "urgent", "input": "a", "priority": "bulk"}',
      '{"id": "both", "input": "a", "inputs": ["b"]}',
      '{"input": "last"}',
    ].join('\n');
    const answers = await postLines(scene.url, body);
    // biome-ignore lint/suspicious/noExplicitAny: lines have one of two forms.
    const told = answers.toSorted(byIndex).map((each: any) => [each.id, each.problem?.code]);
    const id = expect.any(String);
    expect(told).toEqual([
      ['mine', undefined],
      [undefined, 'invalid_json'],
      [7, undefined],
      [undefined, 'input_missing'],
      [undefined, 'body_too_large'],
      ['nothing', 'input_missing'],
      [undefined, 'input_invalid'],
      ['top', 'parameter_invalid'],
      ['urgent', 'parameter_invalid'],
      ['both', 'input_invalid'],
      [id, undefined],
    ]);
  });

  test.each([
    ['blank lines', '\n'.repeat(1200)],
    ['blanks', ' '.repeat(1200)],
    ['a line without an end', 'x'.repeat(9000)],
  ])('that hold %s for too long end, after what came before', async (_what, rest) => {
    const scene = await openScene({ configuration: { BODY_BYTES_MAX: 1000 } });
    const zipped = gzipSync(`{"input": "a"}\n${rest}`);
    const told = await postLines(scene.url, zipped, { 'content-encoding': 'gzip' });
    expect(told).toMatchObject([
      { index: 0, predictions: expect.anything() },
      { nextIndex: 1, problem: { code: 'body_too_large' } },
    ]);
  });

  test('end when their key is revoked or their token ends, after what came before', async () => {
    let refusal: ScorelineError | undefined;
    const scene = await openScene({
      access: {
        ...openToAnyone,
        identify: async () => {
          if (refusal) throw refusal;
          return anyone;
        },
      },
    });
    const client = openLines(scene.url);
    const send = async () => {
      const before = client.lines.length;
      client.send({ input: 'a' });
      await waitUntil('the line is answered', () => client.lines.length > before);
      return client.lines.at(-1);
    };
    expect(await send()).toMatchObject({ index: 0, predictions: expect.anything() });
    refusal = new ScorelineError('issuer_unavailable', 'Away.', { retryAfterSeconds: 5 });
    expect(await send()).toMatchObject({ index: 1, predictions: expect.anything() });
    refusal = new ScorelineError('key_unknown', 'Revoked.');
    expect(await send()).toMatchObject({ nextIndex: 2, problem: { code: 'key_unknown' } });
    await waitUntil('the answer ends', () => client.isEnded);
    expect(scene.submissions).toHaveLength(2);
    expect(scene.admission.inFlight).toBe(0);
  });

  test('end when their model no longer exists for their caller', async () => {
    let models: readonly string[] | undefined = [textModel.name];
    const scene = await openScene({
      access: { ...openToAnyone, identify: () => ({ ...anyone, models }) },
    });
    const client = openLines(scene.url);
    client.send({ input: 'a' });
    await waitUntil('the line is answered', () => client.lines.length === 1);
    models = ['another'];
    client.send({ input: 'a' });
    await waitUntil('the answer ends', () => client.isEnded);
    expect(client.lines).toMatchObject([
      { index: 0, predictions: expect.anything() },
      { nextIndex: 1, problem: { code: 'model_not_found' } },
    ]);
    expect(scene.admission.inFlight).toBe(0);
  });

  test('may be compressed, in bytes that are no text, or empty', async () => {
    const scene = await openScene();
    const zipped = gzipSync('{"input": "a"}\n'.repeat(1000));
    expect(await postLines(scene.url, zipped, { 'content-encoding': 'gzip' })).toHaveLength(1000);
    const [latin] = await postLines(scene.url, Buffer.from('{"input": "\xe4"}', 'latin1'));
    expect(latin).toMatchObject({ index: 0, problem: { code: 'input_invalid' } });
    expect(await postLines(scene.url, '\n \n')).toEqual([]);
    const broken = await postLines(scene.url, 'no gzip', { 'content-encoding': 'gzip' });
    expect(broken).toMatchObject([{ nextIndex: 0, problem: { code: 'request_invalid' } }]);
  });

  test.each([
    ['another charset', `${address}`, { 'content-type': 'application/x-ndjson; charset=latin1' }],
    ['an unknown compression', address, { 'content-encoding': 'zstd' }],
    ['an address that takes no lines', '/score', {}],
  ])('is refused with %s', async (_what, path, headers) => {
    const scene = await openScene();
    const answer = await ask(`${scene.url}${path}`, {
      ...{ method: 'POST', headers: { ...lines, ...headers }, body: '{"input": "a"}' },
    });
    expect([answer.status, answer.body.code]).toEqual([415, 'unsupported_media_type']);
  });

  test('is answered while it is being sent', async () => {
    const scene = await openScene();
    const client = openLines(scene.url);
    for (let index = 0; index < 3; index++) {
      client.send({ input: 'a' });
      await waitUntil('the line is answered', () => client.lines.length === index + 1);
    }
    client.end();
    await waitUntil('the answer ends', () => client.isEnded);
  });

  test('of a client that waits for 100 Continue has no answer before its first line', async () => {
    const scene = await openScene();
    const client = await scene.connect();
    client.post(address, { ...lines, Expect: '100-continue', 'Transfer-Encoding': 'chunked' });
    expect((await client.response()).status).toBe(100);
    await ask(`${scene.url}/v2/health/live`);
    expect(client.hasResponse).toBe(false);
    client.writeChunk('{"input":"a"}\n');
    await waitUntil('the answer begins', () => client.hasResponse);
    client.write('0\r\n\r\n');
    await waitUntil('the answer ends', () => scene.calls.size === 0);
  });

  test('may last longer than a request, but its client may not pause for as long', async () => {
    const scene = await openScene({
      configuration: { REQUEST_MS_MAX: 1500, HEADERS_MS_MAX: 1500 },
    });
    const client = openLines(scene.url);
    const until = performance.now() + 3500;
    let sent = 0;
    while (performance.now() < until) {
      client.send({ input: 'a' });
      sent++;
      await waitUntil('the line is answered', () => client.lines.length === sent);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await waitUntil('the answer ends', () => client.isEnded);
    const last = client.lines.at(-1);
    expect(last).toMatchObject({ nextIndex: sent, problem: { code: 'request_timeout' } });
  });

  test('may not take longer for one line, and keeps no permit for lines that are malformed', async () => {
    const scene = await openScene({
      configuration: { REQUEST_MS_MAX: 2000, HEADERS_MS_MAX: 2000 },
    });
    const client = openLines(scene.url);
    client.send('malformed');
    await waitUntil('the line is answered', () => client.lines.length === 1);
    await waitUntil('its permit is free', () => scene.admission.inFlight === 0);
    const trickle = setInterval(() => client.write('x'), 50);
    onTestFinished(() => clearInterval(trickle));
    await waitUntil('the answer ends', () => client.isEnded);
    expect(client.lines[1]).toMatchObject({ nextIndex: 1, problem: { code: 'request_timeout' } });
  });

  test('is read no further than its inputs are let in', async () => {
    const { scene, waiting, most, answer } = await openWaiting({
      configuration: { INPUTS_IN_FLIGHT_MAX: 4 },
    });
    const client = openLines(scene.url);
    const line = `${JSON.stringify({ input: 'x'.repeat(1000) })}\n`;
    const total = 64 * 1024;
    const sending = client.offer(line.repeat(64), total / 64);
    await waitUntil('four wait', () => waiting() === 4);
    await waitUntil('nothing is read any more', async () => {
      const before = scene.bytesRead();
      await new Promise((resolve) => setTimeout(resolve, 300));
      return scene.bytesRead() === before;
    });
    expect(waiting()).toBe(4);
    expect(scene.bytesRead()).toBeLessThan(1024 * 1024);
    expect(scene.bodies.taken).toBeLessThan(10_000);
    const pump = setInterval(() => answer(4), 0);
    onTestFinished(() => clearInterval(pump));
    await waitUntil('a thousand are answered', () => client.lines.length > 1000);
    client.hangUp();
    await sending;
    expect(most()).toBe(4);
  });

  test('stops when its client does not read, and goes on when it does', async () => {
    const scene = await openScene();
    const client = openLines(scene.url, { reads: false });
    const total = 30_000;
    const line = `${JSON.stringify({ input: 'a', id: 'x'.repeat(200) })}\n`;
    const sending = client.offer(line.repeat(100), total / 100);
    let last = -1;
    await waitUntil('nothing is scored any more', async () => {
      const isStill = scene.submissions.length === last && last > 0;
      last = scene.submissions.length;
      await new Promise((resolve) => setTimeout(resolve, 200));
      return isStill;
    });
    expect(last).toBeLessThan(total);
    client.read();
    await sending;
    client.end();
    await waitUntil('the answer ends', () => client.isEnded);
    expect(new Set(client.lines.map(({ index }) => index)).size).toBe(total);
  }, 120_000);

  test('loses its connection when its client takes nothing for too long', async () => {
    const scene = await openScene({
      configuration: { REQUEST_MS_MAX: 1000, HEADERS_MS_MAX: 1000 },
    });
    const client = openLines(scene.url, { reads: false });
    const line = `${JSON.stringify({ input: 'a', id: 'x'.repeat(200) })}\n`;
    await client.offer(line.repeat(100), Number.POSITIVE_INFINITY);
    await waitUntil('its calls have ended', () => scene.calls.size === 0);
  }, 120_000);

  test.each([
    ['', 0],
    [', long after other requests would have ended', 2500],
  ])('takes back what is in flight when its client hangs up%s', async (_when, afterMs) => {
    const { scene, waiting } = await openWaiting({
      configuration: { INPUTS_IN_FLIGHT_MAX: 8, REQUEST_MS_MAX: 1000, HEADERS_MS_MAX: 1000 },
    });
    const client = openLines(scene.url);
    client.send(...Array.from({ length: 100 }, () => ({ input: 'a' })));
    await waitUntil('eight wait', () => waiting() === 8);
    await new Promise((resolve) => setTimeout(resolve, afterMs));
    client.hangUp();
    await waitUntil('their permits are back', () => scene.admission.inFlight === 0);
    expect(waiting()).toBe(8);
    expect(scene.submissions.every(({ ending }) => ending.reason?.code === 'client_closed')).toBe(
      true,
    );
  });

  test('gives each line a deadline of its own', async () => {
    const { scene, waiting, answer } = await openWaiting();
    const client = openLines(scene.url);
    client.send({ input: 'a', id: 'slow' }, { input: 'b', id: 'late', deadlineMs: 1000 });
    await waitUntil('one is late', () => client.lines.length === 1);
    expect(client.lines[0]).toMatchObject({ id: 'late', problem: { code: 'deadline_exceeded' } });
    expect(waiting()).toBe(2);
    answer(2);
    client.end();
    await waitUntil('the answer ends', () => client.isEnded);
    expect(client.lines[1]).toMatchObject({ id: 'slow', model: 'text' });
  });

  test('waits while there is no room, and leaves half of the room to others', async () => {
    const { scene, waiting, answer } = await openWaiting({ configuration: { PERMITS_MAX: 8 } });
    const client = openLines(scene.url);
    client.send(...Array.from({ length: 6 }, (_, id) => ({ input: 'a', id })));
    await waitUntil('half of the permits are taken', () => waiting() === 4);
    const others = Array.from({ length: 4 }, () => post(`${scene.url}${address}`, { input: 'b' }));
    await waitUntil('others are let in', () => waiting() === 8);
    expect((await post(`${scene.url}${address}`, { input: 'c' })).status).toBe(429);
    answer(8);
    for (const other of others) expect((await other).status).toBe(200);
    await waitUntil('the rest waits', () => waiting() === 2);
    answer(2);
    client.end();
    await waitUntil('the answer ends', () => client.isEnded);
    expect(client.lines.map(({ id }) => id).toSorted()).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test('fails a line that finds no room until its deadline, and goes on', async () => {
    const { scene, waiting, answer } = await openWaiting();
    scene.unanswered.set(textModel.queue, 10_000);
    const refused = await postRefused();
    expect(refused.status).toBe(429);
    scene.unanswered.clear();
    const client = openLines(scene.url);
    client.send({ input: 'a', id: 0 });
    await waitUntil('the first line waits', () => waiting() === 1);
    scene.unanswered.set(textModel.queue, 10_000);
    client.send({ input: 'b', id: 1, deadlineMs: 200 });
    await waitUntil('the second is refused', () => client.lines.length === 1);
    expect(client.lines[0]).toMatchObject({ id: 1, problem: { code: 'overloaded' } });
    scene.unanswered.clear();
    client.send({ input: 'c', id: 2 });
    await waitUntil('the third waits', () => waiting() === 2);
    answer(2);
    client.end();
    await waitUntil('the answer ends', () => client.isEnded);
    expect(client.lines).toHaveLength(3);

    function postRefused() {
      return ask(`${scene.url}${address}`, {
        method: 'POST',
        headers: lines,
        body: '{"input":"a"}',
      });
    }
  });

  test('ends with the next index when the instance shuts down', async () => {
    const { scene, waiting, answer } = await openWaiting({
      configuration: { INPUTS_IN_FLIGHT_MAX: 2 },
    });
    const busy = openLines(scene.url);
    busy.send(...Array.from({ length: 5 }, (_, id) => ({ input: 'a', id })));
    const idle = openLines(scene.url);
    idle.send({ input: 'b' });
    await waitUntil('three wait', () => waiting() === 3);
    const closing = scene.close(30_000);
    answer(3);
    await waitUntil('the answers end', () => busy.isEnded && idle.isEnded);
    await closing;
    expect(
      busy.lines
        .slice(0, 2)
        .map(({ id }) => id)
        .toSorted(),
    ).toEqual([0, 1]);
    expect(busy.lines[2]).toMatchObject({ nextIndex: 2, problem: { code: 'shutting_down' } });
    expect(idle.lines[1]).toMatchObject({ nextIndex: 1, problem: { code: 'shutting_down' } });
  });

  test('sends a line again that the queue did not take', async () => {
    let refusals = 2;
    const scene = await openScene({
      submit: ({ items }) =>
        items.map(({ id }) => {
          if (refusals-- <= 0) return Promise.resolve(makeReply(id));
          return Promise.reject(new ScorelineError('queue_unavailable', 'Redis is away.'));
        }),
    });
    const answers = await postLines(scene.url, '{"input": "a"}\n'.repeat(3));
    // biome-ignore lint/suspicious/noExplicitAny: lines have one of two forms.
    expect(answers.map((each: any) => each.problem)).toEqual([undefined, undefined, undefined]);
  });

  test('has pictures in base64', async () => {
    const scene = await openScene({ models: [imageModel] });
    const answer = await ask(`${scene.url}/v1/models/image/score`, {
      ...{ method: 'POST', headers: lines },
      body: '{"id": "no picture", "input": "AAAA"}\n{"id": "two", "input": {"a": "AAAA", "b": "AAAA"}}\n',
    });
    const told = answer.body.trim().split('\n').map(parse).toSorted(byIndex);
    expect(told).toMatchObject([
      { id: 'no picture', problem: { code: 'image_unreadable' } },
      { id: 'two', problem: { code: 'too_many_inputs' } },
    ]);
  });
});

describe('the limits of a caller', () => {
  /** Lets a caller have a number of slots, and counts them. */
  function makeLimited(concurrent: number) {
    let open = 0;
    let taken = 0;
    let most = 0;
    const admit = (): Slot => {
      if (open >= concurrent) {
        throw new ScorelineError('concurrency_limited', 'Too many.', { retryAfterSeconds: 1 });
      }
      open++;
      taken++;
      most = Math.max(most, open);
      let isOpen = true;
      return {
        release: () => {
          if (isOpen) open--;
          isOpen = false;
        },
      };
    };
    const caller = { ...anyone, limits: { concurrent } };
    return {
      access: {
        ...openToAnyone,
        identify: () => caller,
        limits: { admit, fieldsOf: () => ({ 'RateLimit-Policy': 'p', RateLimit: 'r' }) },
      },
      counts: () => ({ open, taken, most }),
    };
  }

  test.each([1, 3])('count each input as a request, with %i at a time', async (concurrent) => {
    const { access, counts } = makeLimited(concurrent);
    const scene = await openScene({ access });
    const list = await post(`${scene.url}${address}`, { inputs: Array(10).fill('a') });
    expect(list.body.failed).toBe(0);
    const areBack = () => counts().open === 0;
    await waitUntil('the slots are back', areBack);
    expect(counts().taken).toBe(10);
    expect(await postLines(scene.url, '{"input": "a"}\n'.repeat(10))).toHaveLength(10);
    await waitUntil('the slots are back', areBack);
    expect(counts().taken).toBe(20);
    expect(counts().most).toBeLessThanOrEqual(concurrent);
    expect(list.headers.get('ratelimit')).toBe('r');
  });

  test.each([
    ['a slash at its end', `${address}/`],
    ['capital letters', address.replace('/v1/models', '/V1/Models')],
    ['an escaped letter', address.replace('text', 't%65xt')],
  ])('count at an address with %s, too', async (_, spelling) => {
    const { access, counts } = makeLimited(1);
    const { url } = await openScene({ access });
    const list = await post(`${url}${spelling}`, { inputs: ['a', 'b', 'c'] });
    expect(list.body.failed).toBe(0);
    await waitUntil('the slots are back', () => counts().open === 0);
    expect(counts()).toMatchObject({ taken: 3, most: 1 });
  });

  test('are the reason that is told when they keep inputs of a list out until its deadline', async () => {
    const { access, counts } = makeLimited(1);
    const { scene } = await openWaiting({ access });
    const list = await post(`${scene.url}${address}`, {
      inputs: ['a', 'b', 'c'],
      deadlineMs: 2000,
    });
    const codes = list.body.results.map((each: { problem: { code: string } }) => each.problem.code);
    // The first one has a slot, and waits for a worker.
    expect(codes).toEqual(['deadline_exceeded', 'concurrency_limited', 'concurrency_limited']);
    await waitUntil('the slot is back', () => counts().open === 0);
  });

  test('are given back by inputs that are malformed, and when the client hangs up', async () => {
    const { access, counts } = makeLimited(3);
    const { scene, waiting } = await openWaiting({ access });
    expect(await postLines(scene.url, 'x\n'.repeat(10))).toHaveLength(10);
    await waitUntil('the slots are back', () => counts().open === 0);
    const client = openLines(scene.url);
    client.send(...Array.from({ length: 10 }, () => ({ input: 'a' })));
    await waitUntil('three wait', () => waiting() === 3);
    client.hangUp();
    await waitUntil('the slots are back', () => counts().open === 0);
  });
});
