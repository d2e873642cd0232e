import { once } from 'node:events';
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, ask, openRedisForAll, post, type Service, startService } from '../harness.js';
import { photograph, pngHeader } from '../integration/photographs.js';

const bodyBytesMax = 200_000;
const imagesMax = 3;
const inputsMax = 5;
const image = '/v1/models/efficientnet-lite0/score';
const text = '/v1/models/faq-matcher/score';
const cat = photograph('siamese-cat.jpg');
const catBase64 = cat.toString('base64');
const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>');

const overPixels = await blank(1001, 1000);

const redis = await openRedisForAll();
let service: Service;

beforeAll(async () => {
  service = await startService({
    redisUrl: redis.url,
    environment: {
      BODY_BYTES_MAX: String(bodyBytesMax),
      IMAGES_PER_REQUEST_MAX: String(imagesMax),
      INPUTS_PER_REQUEST_MAX: String(inputsMax),
      IMAGE_PIXELS_MAX: '1000000',
    },
  });
});

afterAll(() => service?.close());

// After every test, the service must still answer good requests.
afterEach(async () => {
  const [picture, question] = await Promise.all([
    send(image, cat, { 'content-type': 'image/jpeg' }),
    post(`${service.url}/score`, { input: 'How do I sort an array?' }),
  ]);
  expect(picture).toMatchObject({ status: 200, body: { model: 'efficientnet-lite0' } });
  expect(question).toMatchObject({ status: 200, body: { result: expect.any(Array) } });
});

// Each takes milliseconds. With work that grows with the square of its length, they would hold up everybody for minutes.
describe('a long value holds up nobody', { timeout: 30_000 }, () => {
  const json = { 'content-type': 'application/json' };
  const blanks = ' '.repeat(180_000);

  it.each(['AAAA_AAAA', 'AAAA_\\n_AAA*'])('of base64 with blanks: %j', async (form) => {
    const body = `{"input": {"a": "${form.replaceAll('_', blanks.slice(0, 90_000))}"}}`;
    expectProblem(await send(image, body, json), 400, 'base64_invalid');
  });

  it('of tensors, in a string without an end', async () => {
    const body = `{"inputs": ["${'\\"'.repeat(90_000)}`;
    expect((await send('/v2/models/efficientnet-lite0/infer', body, json)).status).toBe(400);
  });

  it('of what is preferred', async () => {
    const headers = { ...json, prefer: `"${'\\"'.repeat(7000)}, respond-async` };
    for (let turn = 0; turn < 20; turn++) {
      const { status } = await send(text, '{"input": "How do I sort an array?"}', headers);
      expect(status).toBe(200);
    }
  });
});

it('a part of a form in base64 is refused, since its bytes would be scored as they are', async () => {
  const part = (coding: string) =>
    [
      '--x',
      'Content-Disposition: form-data; name="input"',
      `Content-Transfer-Encoding: ${coding}`,
      '',
      'Y29weSBhbiBvYmplY3Q=',
      '--x--',
      '',
    ].join('\r\n');
  const type = { 'content-type': 'multipart/form-data; boundary=x' };
  const refused = await send(text, part('base64'), type);
  expectProblem(refused, 400, 'request_invalid');
  expect(refused.body.detail).toContain('Content-Transfer-Encoding "base64"');
  expect((await send(text, part('8bit'), type)).status).toBe(200);
});

// Which inputs each rule refuses is tested where the rule is, such as in test/integration/requests.test.ts. Here, each rule
// holds at each route of the real service, in words for the caller.
describe('a problem document answers', () => {
  const json = { 'content-type': 'application/json' };

  it.each<[what: string, body: string, code: string, detail: string]>([
    ['no body', '', 'input_missing', 'got none.'],
    ['half of a JSON', '{"input": "How', 'invalid_json', 'it could not be parsed'],
    ['NaN', '{"input": {"age": NaN}}', 'invalid_json', 'write null instead of NaN'],
    ['a list in place of an object', '["How?"]', 'input_missing', 'got a list.'],
    ['an empty object', '{}', 'input_missing', 'got an empty one.'],
    ['other keys', '{"text": "a", "top": 1}', 'input_missing', 'got one with "text", "top".'],
    ['instances', '{"instances": ["a"]}', 'input_missing', 'to POST /v1/models/NAME:predict.'],
    ['a list as input', '{"input": [1]}', 'input_invalid', 'got a list.'],
    ['a number as input', '{"input": 5}', 'input_invalid', 'got 5.'],
  ])('%s at every route', async (_what, body, code, detail) => {
    for (const path of ['/score', image, text]) {
      const answer = await send(path, body, json);
      expectProblem(answer, 400, code);
      expect(answer.body.detail).toContain(detail);
    }
  });

  it.each(['topp', 'input ', '__proto__'])('the field %j, which nothing reads', async (field) => {
    const input = { input: 'How do I sort an array?' };
    const lines = { 'content-type': 'application/x-ndjson' };
    const withField = (asked: object) => `${JSON.stringify(asked).slice(0, -1)}, "${field}": 1}`;
    const answers = [
      await send(text, withField(input), json),
      await send(text, withField({ inputs: [input.input] }), json),
      await sendForm(text, [], { ...input, [field]: '1' }),
      await send(text, withField(input), lines),
    ];
    for (const { body } of answers) {
      expect(typeof body === 'string' ? JSON.parse(body).problem : body).toMatchObject({
        code: 'parameter_invalid',
        detail: expect.stringMatching(`^Expected no fields but .*; got "${field}"`),
      });
    }
    // A form has several inputs by several fields of one name.
    const both = await sendForm(text, [], { ...input, inputs: '["a"]' });
    expectProblem(both, 400, 'parameter_invalid');
    // Clients of the first implementation may send what they like.
    expect((await send('/score', withField(input), json)).status).toBe(200);
  });

  it('a content type that is not accepted, which it names beside the accepted ones', async () => {
    for (const path of ['/score', image, text]) {
      const xml = await send(path, '<input/>', { 'content-type': 'application/xml' });
      expectProblem(xml, 415, 'unsupported_media_type');
      expect(xml.body.detail).toMatch(/application\/json.*application\/xml/);
      const none = await send(path, Buffer.from('{"input": "x"}'));
      expectProblem(none, 415, 'unsupported_media_type');
      expect(none.body.detail).toContain('got none');
    }
    for (const type of ['text/plain', 'image/jpeg', 'application/x-www-form-urlencoded']) {
      const answer = await send('/score', cat, { 'content-type': type });
      expectProblem(answer, 415, 'unsupported_media_type');
    }
  });

  it('a line with NaN, which it tells to be null', async () => {
    const { body } = await send(text, '{"input": NaN}', { 'content-type': 'application/x-ndjson' });
    expect(JSON.stringify(body)).toMatch(/write null instead/);
  });

  it('a text that is blank or too long', async () => {
    for (const path of ['/score', text]) {
      expectProblem(await post(service.url + path, { input: ' \n ' }), 400, 'input_missing');
      const long = await post(service.url + path, { input: 'word '.repeat(10_000) });
      expectProblem(long, 400, 'text_too_long');
    }
  });

  it.each([
    [5, 'input_invalid'],
    ['What is this?', 'base64_invalid'],
  ])('an image that is no base64, by its name: %j', async (value, code) => {
    for (const path of ['/score', image]) {
      const answer = await post(service.url + path, { input: { cat: value } });
      expectProblem(answer, 400, code);
      expect(answer.body.detail).toContain('"cat"');
      expectProblem(await post(service.url + path, { input: {} }), 400, 'input_missing');
    }
  });

  it.each([
    [{ input: { cat: [1] } }, 'got a list.'],
    [{ inputs: 'cat' }, 'got "cat".'],
    [{ inputs: [], input: 'cat' }, 'got both.'],
  ])('an image or a list of another form, which it names: %j', async (body, detail) => {
    const answer = await post(service.url + image, body);
    expectProblem(answer, 400, 'input_invalid');
    expect(answer.body.detail).toContain(detail);
  });

  it('a form with neither a file nor the field "input", and one that is broken', async () => {
    for (const path of [image, text]) {
      const answer = await sendForm(path, [], { question: 'How do I sort an array?' });
      expectProblem(answer, 400, 'input_missing');
      expect(answer.body.detail).toContain('got "question".');
      const empty = await sendForm(path, []);
      expectProblem(empty, 400, 'input_missing');
      expect(empty.body.detail).toContain('got an empty form.');
      const type = { 'content-type': 'multipart/form-data; boundary=x' };
      expectProblem(await send(path, '--x\r\n: : :\r\n\r\na\r\n--x--\r\n', type), 400);
    }
  });

  it('a body over the limit, which it names', async () => {
    const large = 'x'.repeat(bodyBytesMax + 1);
    for (const answer of [
      await send('/score', large, json),
      await sendForm(image, [], { large }),
    ]) {
      expectProblem(answer, 413, 'body_too_large');
      expect(answer.body.detail).toContain(String(bodyBytesMax));
    }
  });

  it('an unknown model, and names the known ones', async () => {
    for (const path of ['/v1/models/constructor/score', '/score?model=constructor']) {
      const answer = await post(service.url + path, { input: 'x' });
      expectProblem(answer, 404, 'model_not_found');
      expect(answer.body.detail).toMatch(/faq-matcher.*efficientnet-lite0|lite0.*faq-matcher/);
    }
  });

  it('a wrong address or method, and names the right ones', async () => {
    for (const path of ['/nothing', `${image}s`, `/${'a'.repeat(3000)}`]) {
      const answer = await post(service.url + path, {});
      expectProblem(answer, 404, 'not_found');
      expect(answer.body.detail).toContain('POST /score');
    }
    const { headers, ...answer } = await ask(service.url + image);
    expectProblem({ headers, ...answer }, 405, 'method_not_allowed');
    expect(headers.get('allow')).toBe('POST');
  });

  it.each<[field: string, value: string, code: string]>([
    ['deadlineMs', 'soon', 'deadline_invalid'],
    ['top', '1001', 'parameter_invalid'],
  ])('a wrong %s, wherever it stands', async (field, value, code) => {
    const input = catBase64;
    const answers = [
      await post(`${service.url}${image}?${field}=${value}`, { input }),
      await post(`${service.url}${image}?${field}=5&${field}=6`, { input }),
      await post(service.url + image, { input, [field]: value }),
      await sendForm(image, [cat], { [field]: value }),
    ];
    for (const answer of answers) expectProblem(answer, 400, code);
  });

  it('too many inputs', async () => {
    const names = Array.from({ length: imagesMax + 1 }, (_, at) => [`image ${at}`, catBase64]);
    const several = await post(`${service.url}/score`, { input: Object.fromEntries(names) });
    expectProblem(several, 400, 'too_many_inputs');
    const two = await post(service.url + image, { input: { a: catBase64, b: catBase64 } });
    expectProblem(two, 400, 'too_many_inputs');
    const list = await post(service.url + image, { inputs: Array(inputsMax + 1).fill('') });
    expectProblem(list, 400, 'too_many_inputs');
  });

  it('a form with a picture for a model of texts, and says what the model takes', async () => {
    const answer = await sendForm(text, [cat]);
    expectProblem(answer, 400, 'input_invalid');
    expect(answer.body.detail).toMatch(/^The model faq-matcher takes a text\. Expected UTF-8/);
  });
});

describe('an image that cannot be used', () => {
  it.each([
    ['is empty', Buffer.alloc(0), 400, 'image_unreadable'],
    ['is a text', Buffer.from('This is no image, but a text.'), 400, 'image_unreadable'],
    ['is cut off', cat.subarray(0, cat.length / 2), 400, 'image_unreadable'],
    ['is an SVG', svg, 400, 'image_unsupported'],
    ['is a compressed SVG', gzipSync(svg), 400, 'image_unsupported'],
    ['claims to have 60000 × 60000 pixels', pngHeader(60_000, 60_000), 413, 'image_too_large'],
    ['has more pixels than are allowed', overPixels, 413, 'image_too_large'],
  ])('is refused however it is sent when it %s', async (_what, bytes, status, code) => {
    const base64 = Buffer.from(bytes).toString('base64');
    const answers = await Promise.all([
      post(`${service.url}/score`, { input: { cat: base64 } }),
      post(service.url + image, { input: base64 }),
      post(service.url + image, { input: { cat: base64 } }),
      send(image, bytes, { 'content-type': 'image/jpeg' }),
      send(image, bytes, { 'content-type': 'application/octet-stream' }),
      sendForm(image, [bytes]),
    ]);
    for (const answer of answers) expectProblem(answer, status, code);
  });

  it('is named in the error when it is one of several', async () => {
    const input = { good: catBase64, bad: cat.subarray(0, 5000).toString('base64') };
    const answer = await post(`${service.url}/score`, { input });
    expectProblem(answer, 400, 'image_unreadable');
    expect(answer.body.detail).toContain('"bad"');
  });
});

describe('a deadline that is too short to meet', () => {
  it('gets 504, wherever the request states it', async () => {
    const answers = await Promise.all([
      post(`${service.url}/score?deadlineMs=1`, { input: { cat: catBase64 } }),
      post(`${service.url}/score`, { input: { cat: catBase64 }, deadlineMs: 1 }),
      post(`${service.url}/score`, { input: { cat: catBase64 } }, { 'request-timeout': '0.001' }),
      post(`${service.url}${image}?deadlineMs=1`, { input: catBase64 }),
      sendForm(image, [cat], { deadlineMs: '1' }),
    ]);
    for (const answer of answers) expectProblem(answer, 504, 'deadline_exceeded');
  });
});

it('a connection that the client drops halfway disturbs nobody else', async () => {
  for (const [path, type] of [
    ['/score', 'application/json'],
    [image, 'image/jpeg'],
    [image, 'multipart/form-data; boundary=x'],
  ] as const) {
    const socket = connect({ port: Number(new URL(service.url).port), host: '127.0.0.1' });
    await once(socket, 'connect');
    const head = `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\nContent-Length: ${cat.length}\r\n\r\n`;
    socket.write(head);
    await new Promise((resolve) => socket.write(cat.subarray(0, cat.length / 2), resolve));
    socket.destroy();
    const other = await send(image, cat, { 'content-type': 'image/jpeg' });
    expect(other.status).toBe(200);
  }
});

function send(
  path: string,
  body: Uint8Array | string,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const bytes = new Uint8Array(Buffer.from(body));
  return ask(service.url + path, { method: 'POST', body: bytes, headers });
}

function sendForm(
  path: string,
  files: readonly Uint8Array[],
  fields: Record<string, string | string[]> = {},
): Promise<Answer> {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    for (const one of [value].flat()) form.append(name, one);
  }
  for (const file of files) form.append('image', new Blob([new Uint8Array(file)]), 'cat.jpg');
  return ask(service.url + path, { method: 'POST', body: form });
}

/** Expects a problem document written for the caller: no stack, no path, no library's words. */
function expectProblem(answer: Answer, status: number, code?: string): void {
  expect(answer).toMatchObject({ status, ...(code && { body: { code } }) });
  expect(answer.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
  expect(Object.keys(answer.body).sort()).toEqual(['code', 'detail', 'status', 'title', 'type']);
  expect(answer.body.status).toBe(status);
  expect(answer.body.type).toBe(`urn:scoreline:error:${answer.body.code}`);
  expect(answer.body.title.length).toBeGreaterThan(0);
  expect(answer.body.detail).toMatch(/^\S.*\.$/);
  expect(answer.body.detail).not.toMatch(
    /vips|sharp|multer|busboy|express|ioredis|bullmq|node_modules|Unexpected|undefined|\.[jt]s\b|\n|\bat \S+:\d+|\/(work|root|home|tmp|usr)\b/i,
  );
}

function blank(width: number, height: number): Promise<Buffer> {
  return sharp({ create: { width, height, channels: 3, background: 'white' } })
    .png()
    .toBuffer();
}
