import { once } from 'node:events';
import { connect } from 'node:net';
import { deflateSync, gzipSync } from 'node:zlib';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  type Answer,
  ask,
  openRedisForAll,
  post,
  type Service,
  startService,
  waitUntil,
} from '../harness.js';
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

describe('a body that is not JSON', () => {
  it.each(['', '{"input": "How', '{input: 1}', '\u0001', 'How do I sort an array?'])(
    'is refused on every route: %j',
    async (body) => {
      for (const path of ['/score', image, text]) {
        const answer = await send(path, body, { 'content-type': 'application/json' });
        expectProblem(answer, 400, body === '' ? 'input_missing' : 'invalid_json');
      }
    },
  );

  it('is told that a missing number is null and not NaN', async () => {
    const body = '{"input": {"age": NaN}}';
    for (const [type, path] of [
      ['application/json', text],
      ['application/x-ndjson', text],
    ] as const) {
      const answer = await send(path, body, { 'content-type': type });
      expect(JSON.stringify(answer.body)).toMatch(/write null instead/);
    }
  });

  it('is refused when its charset is unknown', async () => {
    const type = { 'content-type': 'application/json; charset=klingon' };
    expectProblem(await send('/score', '{"input":"x"}', type), 415, 'unsupported_media_type');
  });

  it('is refused when its compression is unknown, or not what the header says', async () => {
    const json = { 'content-type': 'application/json' };
    const unknown = await send('/score', '{"input":"x"}', { ...json, 'content-encoding': 'lzma' });
    expectProblem(unknown, 415, 'unsupported_media_type');
    const plain = await send('/score', '{"input":"x"}', { ...json, 'content-encoding': 'gzip' });
    expectProblem(plain, 400, 'request_invalid');
  });
});

describe('a content type that is not accepted', () => {
  it.each(['/score', image, text])(
    'is refused on %s; the error names it and the accepted ones',
    async (path) => {
      const xml = await send(path, '<input/>', { 'content-type': 'application/xml' });
      expectProblem(xml, 415, 'unsupported_media_type');
      expect(xml.body.detail).toContain('application/xml');
      expect(xml.body.detail).toContain('application/json');
      const none = await send(path, Buffer.from('{"input": "x"}'));
      expectProblem(none, 415, 'unsupported_media_type');
      expect(none.body.detail).toContain('got none');
    },
  );

  it.each([
    'text/plain',
    'image/jpeg',
    'application/octet-stream',
    'application/x-www-form-urlencoded',
  ])('is refused on /score: %s', async (type) => {
    const answer = await send('/score', cat, { 'content-type': type });
    expectProblem(answer, 415, 'unsupported_media_type');
  });
});

describe('an input of the wrong form', () => {
  it.each([
    {},
    { texts: 'How do I sort an array?' },
    [],
    ['How do I sort an array?'],
    null,
    5,
    'How do I sort an array?',
  ])('counts as missing on every route: %j', async (body) => {
    for (const path of ['/score', image, text]) {
      expectProblem(await post(service.url + path, body), 400, 'input_missing');
    }
  });

  it.each([5, true, null, [], ['How do I sort an array?']])(
    'is refused on every route: %j',
    async (input) => {
      for (const path of ['/score', image, text]) {
        expectProblem(await post(service.url + path, { input }), 400, 'input_invalid');
      }
    },
  );

  it.each([5, null, ['x'], { base64: catBase64 }])(
    'is refused where an image is expected: %j',
    async (value) => {
      for (const path of ['/score', image]) {
        const answer = await post(service.url + path, { input: { cat: value } });
        expectProblem(answer, 400, 'input_invalid');
        expect(answer.body.detail).toContain('"cat"');
      }
    },
  );

  it('is told by its keys when it has another name', async () => {
    const detailOf = async (body: object) => (await post(service.url + text, body)).body.detail;
    expect(await detailOf({ text: 'a', top: 1 })).toContain('got one with "text", "top".');
    expect(await detailOf({ instances: ['a'] })).toContain(
      'Send several inputs as {"inputs": […]}, or instances to POST /v1/models/NAME:predict.',
    );
    expect(await detailOf({})).toContain('got an empty one.');
  });

  it('is refused when its text is blank or too long', async () => {
    for (const path of ['/score', text]) {
      for (const input of ['', ' \n ']) {
        expectProblem(await post(service.url + path, { input }), 400, 'input_missing');
      }
      const long = await post(service.url + path, { input: 'word '.repeat(10_000) });
      expectProblem(long, 400, 'text_too_long');
    }
  });

  it('is refused when it is an object without an image', async () => {
    for (const path of ['/score', image]) {
      expectProblem(await post(service.url + path, { input: {} }), 400, 'input_missing');
    }
  });

  it('is refused when its text is not UTF-8', async () => {
    const answer = await send(text, Buffer.from([0x48, 0xff, 0xfe]), {
      'content-type': 'text/plain',
    });
    expectProblem(answer, 400, 'input_invalid');
  });
});

describe('an image that cannot be used', () => {
  it.each(['What is this?', '***', catBase64.slice(0, 4001)])(
    'is refused when it is not base64: %.20s',
    async (value) => {
      for (const path of ['/score', image]) {
        const answer = await post(service.url + path, { input: { cat: value } });
        expectProblem(answer, 400, 'base64_invalid');
      }
    },
  );

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

describe('too many inputs', () => {
  it('are refused on /score', async () => {
    const names = Array.from({ length: imagesMax + 1 }, (_, at) => [`image ${at}`, catBase64]);
    const input = Object.fromEntries(names);
    expectProblem(await post(`${service.url}/score`, { input }), 400, 'too_many_inputs');
  });

  it('are refused on the native route, in JSON and in a form', async () => {
    const json = await post(service.url + image, { input: { a: catBase64, b: catBase64 } });
    expectProblem(json, 400, 'too_many_inputs');
    const list = await post(service.url + image, { inputs: Array(inputsMax + 1).fill('') });
    expectProblem(list, 400, 'too_many_inputs');
    const files = Array(inputsMax + 1).fill(cat.subarray(0, 100));
    expectProblem(await sendForm(image, files), 400, 'too_many_inputs');
  });
});

describe('a form', () => {
  it('is refused when it holds neither a file nor the field "input"', async () => {
    for (const path of [image, text]) {
      const answer = await sendForm(path, [], { question: 'How do I sort an array?' });
      expectProblem(answer, 400, 'input_missing');
      expectProblem(await sendForm(path, []), 400, 'input_missing');
    }
  });

  it.each([
    ['names no boundary', 'multipart/form-data', '--x\r\n\r\n--x--'],
    ['is empty', 'multipart/form-data; boundary=x', ''],
    ['holds no part', 'multipart/form-data; boundary=x', 'How do I sort an array?'],
    [
      'ends in the middle of a part',
      'multipart/form-data; boundary=x',
      '--x\r\nContent-Disposition: form-data; name="f"; filename="f.png"\r\n\r\n\x89PNG',
    ],
    [
      'ends in the middle of a header',
      'multipart/form-data; boundary=x',
      '--x\r\nContent-Disposition: form-data; na',
    ],
    [
      'has a part with a broken header',
      'multipart/form-data; boundary=x',
      '--x\r\n: : :\r\n\r\nbytes\r\n--x--\r\n',
    ],
  ])('is refused when it %s', async (_what, type, body) => {
    const answer = await send(image, body, { 'content-type': type });
    expectProblem(answer, 400);
  });

  it('is refused when it has too many fields', async () => {
    const fields = Object.fromEntries(Array.from({ length: 50 }, (_, at) => [`field${at}`, 'x']));
    expectProblem(await sendForm(image, [cat], fields), 400, 'request_invalid');
  });
});

describe('a body over the limit', () => {
  const large = Buffer.alloc(bodyBytesMax + 1, 'x');

  it.each([
    ['JSON', '/score', 'application/json'],
    ['JSON on the native route', image, 'application/json'],
    ['an image', image, 'image/png'],
    ['a text', text, 'text/plain'],
  ])('is refused with a Content-Length and without: %s', async (_what, path, type) => {
    const headers = { 'content-type': type };
    const withLength = await send(path, large, headers);
    expectProblem(withLength, 413, 'body_too_large');
    expect(withLength.body.detail).toContain(String(bodyBytesMax));
    expectProblem(await sendChunked(path, large, headers), 413, 'body_too_large');
  });

  it('is refused as the file or the field of a form', async () => {
    expectProblem(await sendForm(image, [large]), 413, 'body_too_large');
    expectProblem(await sendForm(text, [], { input: large.toString() }), 413, 'body_too_large');
  });

  it.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
  ] as const)('is refused when only its unpacked size is over: %s', async (encoding, pack) => {
    const bomb = pack(Buffer.alloc(50_000_000, ' '));
    expect(bomb.length).toBeLessThan(bodyBytesMax);
    for (const [path, type] of [
      ['/score', 'application/json'],
      [image, 'application/json'],
      [image, 'image/png'],
    ] as const) {
      const answer = await send(path, bomb, { 'content-type': type, 'content-encoding': encoding });
      expectProblem(answer, 413, 'body_too_large');
    }
  });
});

describe('a wrong address', () => {
  it('with an unknown model gets an error that names the known ones', async () => {
    for (const name of ['resnet', 'constructor', '__proto__', 'a'.repeat(2000)]) {
      const native = await post(`${service.url}/v1/models/${name}/score`, { input: 'x' });
      const reference = await post(`${service.url}/score?model=${name}`, { input: 'x' });
      for (const answer of [native, reference]) {
        expectProblem(answer, 404, 'model_not_found');
        expect(answer.body.detail).toContain('faq-matcher');
        expect(answer.body.detail).toContain('efficientnet-lite0');
      }
    }
  });

  it('with an unknown version gets an error that names the known one', async () => {
    const path = '/v1/models/efficientnet-lite0/versions/99/score';
    const answer = await post(service.url + path, { input: catBase64 });
    expectProblem(answer, 404, 'model_not_found');
    expect(answer.body.detail).toContain('The versions here: 1');
  });

  it.each([
    ['GET', '/nothing'],
    ['POST', '/nothing'],
    ['POST', '/v1/models/efficientnet-lite0/nothing'],
    ['GET', '/v1/models/efficientnet-lite0/nothing'],
    ['GET', `/${'a'.repeat(3000)}`],
  ])('gets an error that names the right ones: %s %.50s', async (method, path) => {
    const answer = await ask(service.url + path, { method });
    expectProblem(answer, 404, 'not_found');
    expect(answer.body.detail).toContain('POST /score');
  });

  it.each(['efficientnet-lite0:classify', 'x/versions/2:regress', 'x:explain'])(
    'of V1 of other servers gets an error that says which one is served: %s',
    async (address) => {
      const { status, body } = await post(`${service.url}/v1/models/${address}`, { instances: [] });
      expect([status, body.code]).toEqual([404, 'not_found']);
      expect(body.error).toContain('only POST /v1/models/{model}:predict is served');
    },
  );

  it.each(['/v1/models/%E0%A4%A/score', '/v1/models/efficientnet-lite0/versions/%ff/score', '/%'])(
    'is refused when its encoding is invalid: %s',
    async (path) => {
      const answer = await ask(service.url + path, { method: 'POST' });
      expect([400, 404]).toContain(answer.status);
      expectProblem(answer, answer.status);
    },
  );

  it.each([
    ['GET', '/score'],
    ['PUT', '/score'],
    ['DELETE', '/version'],
    ['GET', image],
    ['PATCH', image],
    ['POST', '/v1/models'],
  ])('with the wrong method gets 405: %s %s', async (method, path) => {
    const answer = await ask(service.url + path, { method });
    expectProblem(answer, 405, 'method_not_allowed');
    expect(answer.headers.get('allow')).toBeTruthy();
  });
});

describe('a wrong parameter', () => {
  it.each(['soon', '-1', '0', '', 'NaN', 'Infinity', '1e400', '1,5'])(
    'is refused as a deadline: %j',
    async (value) => {
      const query = `deadlineMs=${encodeURIComponent(value)}`;
      const header = { 'request-timeout': value };
      for (const [path, input] of [
        ['/score', 'x'],
        [text, 'x'],
      ] as const) {
        const url = service.url + path;
        const answers = [
          await post(`${url}?${query}`, { input }),
          await post(url, { input, deadlineMs: value }),
          await post(url, { input }, header),
        ];
        for (const answer of answers) expectProblem(answer, 400, 'deadline_invalid');
      }
      const form = await sendForm(image, [cat], { deadlineMs: value });
      expectProblem(form, 400, 'deadline_invalid');
    },
  );

  it.each([-1, 0, null, true, [5], {}])('is refused as a deadline in JSON: %j', async (value) => {
    for (const path of ['/score', text]) {
      const answer = await post(service.url + path, { input: 'x', deadlineMs: value });
      expectProblem(answer, 400, 'deadline_invalid');
    }
  });

  it.each(['many', '0', '-1', '1.5', '1001', '', 'NaN', '5&top=6'])(
    'is refused as the number of classes: top=%s',
    async (value) => {
      const url = `${service.url}${image}?top=${value}`;
      const headers = { 'content-type': 'image/jpeg' };
      const answer = await ask(url, { method: 'POST', body: new Uint8Array(cat), headers });
      expectProblem(answer, 400, 'parameter_invalid');
      expect(answer.body.detail).toContain('from 1 to 1000');
      if (!value.includes('&')) {
        expectProblem(await sendForm(image, [cat], { top: value }), 400, 'parameter_invalid');
      }
    },
  );

  it.each([0, -1, 1.5, 1001, null, true, [3], {}])(
    'is refused as the number of classes in JSON: %j',
    async (top) => {
      const answer = await post(service.url + image, { input: catBase64, top });
      expectProblem(answer, 400, 'parameter_invalid');
    },
  );
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

describe('a connection', () => {
  it('that the client drops halfway disturbs nobody else', async () => {
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

  it('that does not speak HTTP gets 400 and is closed', async () => {
    const socket = connect({ port: Number(new URL(service.url).port), host: '127.0.0.1' });
    let came = '';
    let closed = false;
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      came += chunk;
    });
    socket.on('close', () => {
      closed = true;
    });
    socket.write('How do I sort an array?\r\n\r\n');
    await waitUntil('the server has closed the connection', () => closed);
    expect(came).toMatch(/^HTTP\/1\.1 400 /);
  });
});

function send(
  path: string,
  body: Uint8Array | string,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const bytes = new Uint8Array(Buffer.from(body));
  return ask(service.url + path, { method: 'POST', body: bytes, headers });
}

function sendChunked(path: string, body: Buffer, headers: Record<string, string>): Promise<Answer> {
  const stream = new ReadableStream({
    start(controller) {
      for (let at = 0; at < body.length; at += 50_000) {
        controller.enqueue(new Uint8Array(body.subarray(at, at + 50_000)));
      }
      controller.close();
    },
  });
  const init = { method: 'POST', body: stream, headers, duplex: 'half' };
  return ask(service.url + path, init as RequestInit);
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
