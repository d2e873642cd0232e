// Tests which requests the API accepts, and how it refuses the others.

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import type { Ending } from '../../api/call/ending.js';
import { makeKnownOutput } from '../../shared/tensors/scores.js';
import { decodeStrings, type Tensor } from '../../shared/tensors/tensors.js';
import { ask, post, root, waitUntil } from '../harness.js';
import { makeSampleModel } from '../unit/sample-model.js';
import { imageModel, makeReply, openScene, type Scene, textModel } from './http-scene.js';

const address = '/v1/models/text/score';
const readCase = (name: string) =>
  new Uint8Array(readFileSync(path.join(root, 'test/cases', name)));

const jsonType = { 'content-type': 'application/json' };

function asForm(fields: Readonly<Record<string, unknown>>): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, String(value));
  return form;
}

const send = (url: string, type: string, body: string | Uint8Array<ArrayBuffer>) =>
  ask(url, { method: 'POST', headers: { 'content-type': type }, body });

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

/** More lists or objects than a body may have. */
const many = (one: string) => new Array(500_001).fill(one).join();

/** Returns the texts that were sent to the model. */
const textsOf = ({ submissions }: Scene) =>
  submissions.flatMap(({ items }) =>
    items.flatMap(({ inputs }) => decodeStrings((inputs[0] as Tensor).data)),
  );

describe('an address', () => {
  test.each([
    '/v1/models/text/score',
    '/v1/models/text/versions/1/score',
    '/v1/models/text/score/',
    '/V1/Models/text/SCORE',
    '/v1/models/te%78t/score',
    '/v1/models/text/score?top=2',
    '/score',
    '/score/',
    '/SCORE?model=text',
  ])('that Express accepts gets a call: %s', async (route) => {
    const inFlight: number[] = [];
    const scene = await openScene({
      submit: ({ items }) => {
        inFlight.push(scene.admission.inFlight);
        return items.map(async ({ id }) => makeReply(id));
      },
    });
    expect((await post(`${scene.url}${route}`, { input: 'hello' })).status).toBe(200);
    expect(inFlight).toEqual([1]);
    await waitUntil('the permit is given back', () => scene.admission.inFlight === 0);
  });

  test.each([
    ['/v1/models/nope/score', 'There is no model "nope". The models here: text.'],
    ['/v1/models/text/versions/9/score', 'There is no version "9" of text. The versions here: 1.'],
    ['/score?model=nope', 'There is no model "nope". The models here: text.'],
    ['/score?model=text&model=nope', 'There is no model "text,nope". The models here: text.'],
    ['/v1/models/__proto__/score', 'There is no model "__proto__". The models here: text.'],
  ])('of an unknown model gets 404: %s', async (route, detail) => {
    const { url } = await openScene();
    const { status, body } = await post(`${url}${route}`, { input: 'hello' });
    expect([status, body.code, body.detail]).toEqual([404, 'model_not_found', detail]);
  });

  test.each([
    ['GET', '/score', 'POST'],
    ['PUT', address, 'POST'],
    ['POST', '/v1/models', 'GET, HEAD'],
    ['DELETE', '/v2/health/live', 'GET, HEAD'],
    ['POST', '/', 'GET, HEAD'],
  ])('accepts only its own methods: %s %s', async (method, route, allowed) => {
    const { url } = await openScene();
    const { status, body, headers } = await ask(`${url}${route}`, { method });
    expect([status, body.code]).toEqual([405, 'method_not_allowed']);
    expect(headers.get('allow')).toBe(allowed);
  });

  test.each([
    '/nope',
    '/v1/models/text/nope',
    '/v1/models/a/b/score',
    '/%',
    '/v1/models/%E0/score',
  ])('that does not exist gets a 4xx: %s', async (route) => {
    const scene = await openScene();
    const client = await scene.connect();
    client.post(route, { 'Content-Length': 0 });
    const { status, headers } = await client.response();
    expect([400, 404]).toContain(status);
    expect(headers['content-type']).toContain('application/problem+json');
  });
});

describe('a model of several versions', () => {
  const second = makeSampleModel({ name: 'text', version: 2 });

  test.each([
    ['/v1/models/text/score', '1'],
    ['/v1/models/text/versions/1/score', '1'],
    ['/v1/models/text/versions/2/score', '2'],
    ['/v1/models/text/versions/2/score/', '2'],
    ['/score?model=text', '1'],
    ['/score', '1'],
  ])('is scored at %s in version %s', async (route, version) => {
    const scene = await openScene({ models: [textModel, second] });
    expect((await post(`${scene.url}${route}`, { input: 'hello' })).status).toBe(200);
    expect(scene.submissions.map(({ model }) => model.version)).toEqual([version]);
  });
});

describe('what the query says', () => {
  test.each([
    ['?top=abc', { top: 1 }, 'Expected "top" to be a whole number'],
    ['?top=1&top=2', { top: 1 }, 'Expected "top" to be a whole number'],
    ['?deadlineMs=abc', { deadlineMs: 9000 }, 'Expected deadlineMs to be a number'],
    ['?priority=abc', { priority: 'bulk' }, 'Expected priority to be interactive or bulk'],
    ['?model=image', {}, 'Expected no model but "text"'],
    ['?version=2', {}, 'Expected no version but "1"'],
  ])('is refused if it is wrong, whatever the body says: %s', async (query, given, detail) => {
    const { url } = await openScene({ models: [textModel, imageModel] });
    const bodies: RequestInit[] = [
      { body: JSON.stringify({ input: 'a', ...given }), headers: jsonType },
      { body: asForm({ input: 'a', ...given }) },
    ];
    for (const each of bodies) {
      const { status, body } = await ask(`${url}${address}${query}`, { method: 'POST', ...each });
      expect([status, body.code]).toEqual([400, expect.stringMatching(/_invalid$/)]);
      expect(body.detail).toContain(detail);
    }
  });

  test('counts unless the body says something else', async () => {
    const scene = await openScene();
    const ways = ['?top=2', '?top=2&model=text&version=1&other=1'];
    for (const query of ways) await post(`${scene.url}${address}${query}`, { input: 'a', top: 1 });
    await post(`${scene.url}${address}?top=2`, { input: 'a' });
    expect(scene.submissions.map(({ top }) => top)).toEqual([1, 1, 2]);
  });
});

describe('a request to /score', () => {
  test.each([
    ['', { model: 'image' }],
    ['', { version: 2 }],
    ['', { model: { toString: 1 } }],
    ['?version=2', {}],
    ['?model=text&version=2', {}],
    ['?model=text', { model: 'image' }],
  ])('is not answered by another model than it names: %s %j', async (query, named) => {
    const { url } = await openScene({ models: [textModel, imageModel] });
    const { status, body } = await post(`${url}/score${query}`, { input: 'a', ...named });
    expect([status, body.code]).toEqual([400, 'parameter_invalid']);
    expect(body.detail).toContain('Name a model and its version in the address');
  });

  test('may name its model twice, and have what nothing reads', async () => {
    const { url } = await openScene({ models: [textModel, imageModel] });
    const named = { model: 'text', version: 1, other: 2 };
    for (const query of ['', '?model=text', '?version=1']) {
      expect((await post(`${url}/score${query}`, { input: 'a', ...named })).status).toBe(200);
    }
  });
});

describe('requests on one connection that do not wait for answers', () => {
  test('are answered in order', async () => {
    const scene = await openScene();
    const client = await scene.connect();
    for (const input of ['a', 'b']) {
      client.post(address, { 'Content-Type': 'application/json', 'Content-Length': 13 });
      client.write(JSON.stringify({ input }));
    }
    const ids = [await client.response(), await client.response()].map(({ body }) => body.id);
    expect(ids).toEqual(scene.submissions.map(({ items }) => items[0]?.id));
  });

  test('leave nothing on the connection once they are answered', async () => {
    const endings: WeakRef<Ending>[] = [];
    const scene = await openScene({
      submit: ({ items, ending, top }) => {
        endings.push(new WeakRef(ending));
        return items.map(async ({ id }) => makeReply(id, top));
      },
    });
    const client = await scene.connect();
    for (let times = 0; times < 3; times++) {
      client.post(address, { 'Content-Type': 'application/json', 'Content-Length': 13 });
      client.write('{"input":"a"}');
      expect((await client.response()).status).toBe(200);
      await waitUntil('its permit is given back', () => scene.admission.inFlight === 0);
    }
    scene.submissions.length = 0;
    // The connection may hold its last request, but none before it.
    await waitUntil('the calls are garbage', () => {
      collectGarbage();
      return endings.slice(0, -1).every((ending) => ending.deref() === undefined);
    });
    expect(client.isClosed).toBe(false);
  });

  test('end when the client hangs up, the first one and those behind it', async () => {
    const scene = await openScene({
      submit: ({ items, ending }) =>
        items.map(() => new Promise((_, reject) => ending.onEnd(() => reject(ending.reason)))),
    });
    const client = await scene.connect();
    for (let times = 0; times < 2; times++) {
      client.post(address, { 'Content-Type': 'application/json', 'Content-Length': 13 });
      client.write('{"input":"a"}');
    }
    client.post(address, { 'Content-Type': 'application/json', 'Content-Length': 100 });
    client.write('{"input":"');
    await waitUntil('the first is scored', () => scene.submissions.length === 1);
    client.hangUp();
    await waitUntil('it has ended', () => scene.calls.size === 0, 5000);
    await new Promise((resolve) => setImmediate(resolve));
    expect({ calls: scene.calls.size, scored: scene.submissions.length }).toEqual({
      ...{ calls: 0, scored: 1 },
    });
  });
});

test('an HTTP/1.0 client gets no interim response, because its protocol has none', async () => {
  const scene = await openScene();
  const client = await scene.connect();
  client.write(
    `POST ${address} HTTP/1.0\r\nExpect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{"input":"a"}`,
  );
  expect((await client.response()).status).toBe(200);
});

describe('an answer', () => {
  const reply = (id: string, known?: boolean) => {
    const { outputs, ...others } = makeReply(id);
    return { ...others, outputs: known ? outputs : [...outputs, makeKnownOutput([false])] };
  };
  const { output } = textModel.manifest;
  const knowing = makeSampleModel({ name: 'text', output: { ...output, known: 'known' } });

  test.each([true, false, undefined])(
    'says whether the model knows its input: %s',
    async (known) => {
      const { url } = await openScene({
        models: [known === undefined ? textModel : knowing],
        submit: ({ items }) => items.map(async ({ id }) => reply(id, known ?? true)),
      });
      const { body } = await send(`${url}${address}`, 'text/plain', 'a');
      expect(body.known).toBe(known);
      expect(body.predictions).toHaveLength(3);
      const reference = await send(`${url}/score`, 'application/json', '{"input":"a"}');
      // Clients of the reference get the key only if there is something to say.
      expect(reference.body.known).toBe(known === false ? false : undefined);
    },
  );
});

describe('an input of another kind than the model takes', () => {
  const models = [textModel, imageModel];
  const [toText, toImage] = ['/v1/models/text/score', '/v1/models/image/score'];

  test.each([
    [
      toText,
      { input: [1, 2, 3] },
      'text takes a text. Expected "input" to be a string, as in {"input": "How do I …?"}; got a list. Rows of a table are for models whose input.kind is table.',
    ],
    [
      toText,
      { input: ['a', 'b'] },
      'text takes a text. Expected "input" to be a string, as in {"input": "How do I …?"}; got a list. Send several texts as {"inputs": ["…", "…"]}.',
    ],
    [toText, { input: { cat: 'aaaa' } }, 'text takes a text. Expected "input" to be a string'],
    [
      toImage,
      { input: 'What is this?' },
      'image takes images. Expected the image "image" to be base64',
    ],
    [
      toImage,
      { input: [0.5, 0.5] },
      'image takes images. Expected "input" to be the base64 of an image, or {"<name>": "<base64 of an image>"}; got a list.',
    ],
    ['/score?model=image', { input: 'What is this?' }, 'image takes images. Expected '],
  ])('in JSON is refused, and the error names the model: %s %j', async (route, body, detail) => {
    const { url } = await openScene({ models });
    const answer = await send(`${url}${route}`, 'application/json', JSON.stringify(body));
    expect(answer.status).toBe(400);
    expect(answer.body.detail).toContain(`The model ${detail}`);
  });

  test.each([
    [
      toImage,
      'text/plain; charset=utf-8',
      'image takes images. Expected the content type image/*; got text/plain.',
    ],
    [toText, 'image/jpeg', 'text takes a text. Expected the content type text/*; got image/jpeg.'],
  ])(
    'in a body of its type is refused, and the error names the model: %s %s',
    async (route, type, detail) => {
      const { url } = await openScene({ models });
      const { status, body } = await send(`${url}${route}`, type, 'a');
      expect([status, body.code]).toEqual([415, 'unsupported_media_type']);
      expect(body.detail).toBe(`The model ${detail}`);
    },
  );
});

/** A form of one part, whose text is in UTF-16. */
function utf16Part(head: string): Buffer {
  return Buffer.concat([
    Buffer.from(`--x\r\nContent-Disposition: form-data; ${head}\r\n\r\n`),
    Buffer.from('copy an object', 'utf16le'),
    Buffer.from('\r\n--x--\r\n'),
  ]);
}

describe('a body', () => {
  test.each([
    ['text/plain', 'Grüße', 'Grüße'],
    ['text/plain; charset=utf-8', 'Grüße', 'Grüße'],
    ['text/plain; charset="utf-16le"', readCase('text-utf16le.bin'), 'copy an object'],
    ['text/plain;charset=ISO-8859-1', Buffer.from('Grüße', 'latin1'), 'Grüße'],
    ['application/json; charset=utf-8', '{"input":"Grüße"}', 'Grüße'],
    ['application/json; charset=utf-16le', Buffer.from('{"input":"é"}', 'utf16le'), 'é'],
    ['Application/JSON', '\ufeff{"input":"marked"}', 'marked'],
    ['application/octet-stream', 'bytes', 'bytes'],
  ])('of the type %s is decoded as it says', async (type, body, text) => {
    const scene = await openScene();
    const sent = typeof body === 'string' ? body : new Uint8Array(body);
    expect((await send(`${scene.url}${address}`, type, sent)).status).toBe(200);
    expect(textsOf(scene)).toEqual([text]);
  });

  test.each([
    ['JSON', 'application/json', 'latin1.json'],
    ['a field of a form', 'multipart/form-data; boundary=xx', 'f-badutf8field.bin'],
    ['a text', 'text/plain', 'latin1.json'],
  ])('of %s that is not in UTF-8 is refused with 400', async (_what, type, name) => {
    const { url } = await openScene();
    const { status, body } = await send(`${url}${address}`, type, readCase(name));
    expect([status, body.code]).toEqual([400, 'input_invalid']);
    expect(body.detail).toContain('utf-8');
  });

  test.each([
    ['one', 'application/json', address, `{"input":[${many('{}')}]}`],
    ['several', 'application/json', address, `{"inputs":[${many('{}')}]}`],
    ['the reference', 'application/json', '/score', `{"input":[${many('[]')}]}`],
    ['tensors', 'application/json', '/v2/models/text/infer', `{"inputs":[${many('{}')}]}`],
  ])('with too many values for %s is refused', async (_what, type, route, text) => {
    const { url } = await openScene();
    const { status, body } = await send(`${url}${route}`, type, text);
    expect([status, body.code]).toEqual([413, 'body_too_large']);
  });

  test('of lines has one line refused that has too many values', async () => {
    const { url } = await openScene();
    const lines = `{"input":"a"}\n{"input":[${many('{}')}]}\n{"input":"b"}\n`;
    const { status, body } = await send(`${url}${address}`, 'application/x-ndjson', lines);
    const answers = String(body).trim().split('\n');
    const codes = answers.map((line) => JSON.parse(line).problem?.code);
    expect([status, codes.toSorted()]).toEqual([200, ['body_too_large', undefined, undefined]]);
  });

  test.each([
    ['text/plain; charset=ebcdic', address],
    ['application/json; charset=koi8-r', address],
    ['application/json; charset=iso-8859-1', '/v2/models/text/infer'],
    ['application/x-ndjson; charset=iso-8859-1', address],
  ])('in an encoding that is not accepted gets 415: %s', async (type, route) => {
    const { url } = await openScene();
    const { status, body } = await send(`${url}${route}`, type, '{"input":"a"}');
    expect([status, body.code]).toEqual([415, 'unsupported_media_type']);
  });

  test.each([
    ['text/plain', Buffer.from('copy an object', 'utf16le')],
    ['application/json', Buffer.from('{"input":"copy an object"}', 'utf16le')],
    ['multipart/form-data; boundary=x', utf16Part('name="f"; filename="q.txt"')],
    ['multipart/form-data; boundary=x', utf16Part('name="input"')],
  ])('in UTF-16 that does not say so is refused: %s', async (type, sent) => {
    const scene = await openScene();
    const { status, body } = await send(`${scene.url}${address}`, type, new Uint8Array(sent));
    expect([status, body.code]).toEqual([400, 'input_invalid']);
    expect(body.detail).toContain('name the charset');
    expect(textsOf(scene)).toEqual([]);
  });

  test.each([
    ['a file', 'name="f"; filename="q.txt"', 'text/plain; charset=utf-16le'],
    ['a file with its name in another form', "name=f; filename*=UTF-8''q", 'a; CHARSET="utf-16le"'],
    ['a field', 'name="input"', 'text/plain;charset=UTF-16LE'],
  ])('that is a form has %s in the charset that it declares', async (_what, head, type) => {
    const scene = await openScene();
    const sent = utf16Part(`${head}\r\nContent-Type: ${type}`);
    const formType = 'multipart/form-data; boundary=x';
    const { status } = await send(`${scene.url}${address}`, formType, new Uint8Array(sent));
    expect(status).toBe(200);
    expect(textsOf(scene)).toEqual(['copy an object']);
  });

  const form = (...parts: [head: string, body: string][]) =>
    `${parts.map(([head, body]) => `--x\r\nContent-Disposition: form-data; ${head}\r\n\r\n${body}\r\n`).join('')}--x--\r\n`;

  test('that is a form can have its input in a file or in a field', async () => {
    const scene = await openScene();
    const type = 'multipart/form-data; boundary=x';
    const field = form(['name="input"', 'a field'], ['name="top"', '2']);
    const answer = await send(`${scene.url}${address}`, type, field);
    expect([answer.status, answer.body.predictions.length]).toEqual([200, 2]);
    const file = form(['name="anything"; filename="q.txt"', 'a file']);
    expect((await send(`${scene.url}${address}`, type, file)).status).toBe(200);
    expect(textsOf(scene)).toEqual(['a field', 'a file']);
    const both = form(['name="input"', 'a'], ['name="f"; filename="q"', 'b']);
    const { status, body } = await send(`${scene.url}${address}`, type, both);
    expect([status, body.results.length]).toEqual([200, 2]);
  });

  const deep = `${'['.repeat(5000)}${']'.repeat(5000)}`;
  test.each([
    ['top', '/v1/models/text/score', readCase('deep-top.json')],
    ['deadlineMs', '/v1/models/text/score', `{"input":"a","deadlineMs":${deep}}`],
    ['input', '/v1/models/text/score', `{"input":${deep}}`],
    ['input', '/v1/models/image/score', `{"input":${deep}}`],
    ['an image', '/v1/models/image/score', `{"input":{"a":${deep}}}`],
    ['an image', '/score', `{"input":{"a":${deep}}}`],
    ['input', '/score', `{"input":${deep}}`],
    ['deadlineMs', '/score', `{"input":"a","deadlineMs":${deep}}`],
    ['everything', '/score', deep],
  ])('nested five thousand deep in %s is refused with 400: %s', async (_field, route, body) => {
    const { url } = await openScene({ models: [textModel, imageModel] });
    const answer = await send(`${url}${route}`, 'application/json', body);
    expect(answer.status).toBe(400);
    expect(JSON.stringify(answer.body).length).toBeLessThan(2000);
  });

  test.each([
    ['nothing', '', 'input_missing'],
    ['half of it', '{"input":"a', 'invalid_json'],
    ['null', 'null', 'input_missing'],
    ['a list', '[]', 'input_missing'],
    ['no input', '{}', 'input_missing'],
    ['an empty input', '{"input":"  "}', 'input_missing'],
    ['an input of another form', '{"input":5}', 'input_invalid'],
    ['a NUL instead of JSON', '\0', 'input_invalid'],
    ['a text with NUL', '{"input":"a\\u0000b"}', 'input_invalid'],
  ])('of JSON that holds %s is refused with 400', async (_what, text, code) => {
    const { url } = await openScene();
    const { status, body } = await send(`${url}${address}`, 'application/json', text);
    expect([status, body.code]).toEqual([400, code]);
  });
});

describe('an error never repeats the whole of', () => {
  const long = 'x'.repeat(8 * 1024 * 1024);
  const part = (head: string, body = 'a') =>
    `--x\r\nContent-Disposition: form-data; ${head}\r\n\r\n${body}\r\n--x--\r\n`;
  const formType = 'multipart/form-data; boundary=x';
  const markup = Buffer.from('<svg/>').toString('base64');

  test.each([
    ['top', address, 'application/json', JSON.stringify({ input: 'a', top: long })],
    ['deadlineMs', address, 'application/json', JSON.stringify({ input: 'a', deadlineMs: long })],
    ['the input', '/v1/models/image/score', 'application/json', JSON.stringify({ input: long })],
    [
      'the name of an image that is not a string',
      '/v1/models/image/score',
      'application/json',
      JSON.stringify({ input: { [long]: 5 } }),
    ],
    [
      'the name of an image that is not base64',
      '/v1/models/image/score',
      'application/json',
      JSON.stringify({ input: { [`${long}"`]: '*' } }),
    ],
    [
      'the name of an image that cannot be decoded',
      '/score?model=image',
      'application/json',
      JSON.stringify({ input: { [long]: 'aaaa' } }),
    ],
    [
      'the name of an image that is markup',
      '/v1/models/image/score',
      'application/json',
      JSON.stringify({ input: { [long]: markup } }),
    ],
    ['a field of a form', address, formType, part('name="top"', long)],
    ['the charset', address, `text/plain; charset=${long.slice(0, 8000)}`, 'a'],
    ['the type', address, `text/${long.slice(0, 8000)}`, 'a'],
  ])('%s', async (_what, route, type, body) => {
    const { url } = await openScene({ models: [textModel, imageModel] });
    const answer = await send(`${url}${route}`, type, body);
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(answer.status).toBeLessThan(500);
    expect(JSON.stringify(answer.body).length).toBeLessThan(2000);
  });

  test.each([
    ['a model', `/v1/models/${long.slice(0, 14_000)}/score`, {}],
    ['a version', `/v1/models/text/versions/${long.slice(0, 14_000)}/score`, {}],
    ['the model of a query', `/score?model=${long.slice(0, 14_000)}`, {}],
    ['a parameter of a query', `${address}?deadlineMs=${long.slice(0, 14_000)}`, {}],
    ['an address', `/${long.slice(0, 14_000)}`, {}],
    ['a deadline', address, { 'Request-Timeout': long.slice(0, 14_000) }],
    ['a key', address, { 'Idempotency-Key': long.slice(0, 14_000) }],
    ['an encoding', address, { 'Content-Encoding': long.slice(0, 14_000) }],
    ['control characters', `/v1/models/${'%01'.repeat(4000)}/score`, {}],
  ])('%s', async (_what, route, headers) => {
    const scene = await openScene();
    const client = await scene.connect();
    client.post(route, { 'Content-Type': 'application/json', ...headers, 'Content-Length': 13 });
    client.write('{"input":"a"}');
    const { status, bytes, body } = await client.response();
    expect([400, 404, 415]).toContain(status);
    expect(body.status).toBe(status);
    expect(bytes).toBeLessThan(2000);
  });

  test('a file name of a form', async () => {
    const { url } = await openScene({ models: [textModel, imageModel] });
    const name = long.slice(0, 60_000);
    const body = part(`name="a"; filename="${name}"`, '<svg/>');
    const answer = await send(`${url}/v1/models/image/score`, formType, body);
    expect(answer.status).toBe(400);
    expect(JSON.stringify(answer.body).length).toBeLessThan(2000);
  });
});

describe('a request that names no model', () => {
  const models = [textModel, imageModel];

  test('goes to the first model whose input has this form', async () => {
    const scene = await openScene({ models });
    expect((await post(`${scene.url}/score`, { input: 'hello' })).status).toBe(200);
    expect(scene.submissions.map(({ model }) => model.name)).toEqual(['text']);
  });

  test.each([
    ['an image', '{"input":{"cat":"', imageModel, '{"input":"hello"}'],
    ['a text', ' {\n "input" : "', textModel, undefined],
  ])(
    'is refused early if it holds %s and the model for that has no room',
    async (_what, first, model, other) => {
      const scene = await openScene({ models, configuration: { QUEUE_ITEMS_MAX: 10 } });
      scene.unanswered.set(model.queue, 10);
      const client = await scene.connect();
      client.post('/score', { 'Content-Type': 'application/json', 'Content-Length': 100_000 });
      client.write(first);
      const refused = client.response();
      if (other) {
        const answer = await send(`${scene.url}/score`, 'application/json', other);
        expect(answer.status).toBe(200);
      }
      const { status, body } = await refused;
      expect([status, body.code]).toEqual([429, 'overloaded']);
      expect(scene.bytesRead()).toBeLessThan(1000);
      await waitUntil('everything is given back', () => scene.admission.inFlight === 0);
    },
  );

  test('is refused after its headers if no model has room', async () => {
    const scene = await openScene({ models, configuration: { QUEUE_ITEMS_MAX: 10 } });
    for (const { queue } of models) scene.unanswered.set(queue, 10);
    const client = await scene.connect();
    client.post('/score', { 'Content-Type': 'application/json', 'Content-Length': 100_000 });
    expect((await client.response()).status).toBe(429);
  });

  test('is refused after its body if the input comes late in the body', async () => {
    const scene = await openScene({ models, configuration: { QUEUE_ITEMS_MAX: 10 } });
    scene.unanswered.set(textModel.queue, 10);
    const body = JSON.stringify({ more: 'x'.repeat(500), input: 'hello' });
    const answer = await send(`${scene.url}/score`, 'application/json', body);
    expect([answer.status, answer.body.code]).toEqual([429, 'overloaded']);
  });

  test('is refused if no model takes its form', async () => {
    const { url } = await openScene();
    const { status, body } = await post(`${url}/score`, { input: { cat: 'aaaa' } });
    expect([status, body.code]).toEqual([400, 'input_invalid']);
  });

  test('gets 404 if no model is served', async () => {
    const scene = await openScene();
    scene.registry.replace([]);
    const { status, body } = await post(`${scene.url}/score`, { input: 'hello' });
    expect([status, body.code]).toEqual([404, 'model_not_found']);
  });
});
