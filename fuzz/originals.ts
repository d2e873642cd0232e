// The real requests that a run mutates: each route, with each kind of body that it takes.

import sharp from 'sharp';
import { readPhotographs } from '../bench/photographs.js';
import { readQuestions } from '../bench/questions.js';
import type { Callers } from './callers.js';
import type { Draft, Field } from './draft.js';

/** What a body holds, which decides the mutations that fit it. */
export type BodyKind = 'none' | 'json' | 'text' | 'form' | 'picture';

export interface Original extends Draft {
  readonly bodyKind: BodyKind;
}

export interface Originals {
  readonly all: readonly Original[];
  /** Small pictures in each format that is accepted, and in one that is not. */
  readonly pictures: readonly Picture[];
}

export interface Picture {
  readonly mediaType: string;
  readonly bytes: Buffer;
}

export const textRoute = '/v1/models/faq-matcher/score';
export const imageRoute = '/v1/models/efficientnet-lite0/score';
const withVersion = (route: string) => route.replace(/\/score$/, '/versions/1/score');
const someJob = '0b5c6f0e-6c1e-4a3a-9d8e-3f1f5d1c2b7a';
const readRoutes = [
  ...[
    '/',
    '/version',
    '/openapi.json',
    '/docs',
    '/docs/access',
    '/docs/api',
    '/v1/models',
    '/v1/live',
    '/v1/sign-in',
    '/playground/cat.jpg',
  ],
  ...['/admin', '/admin/queues', '/admin/queues/api/queues', '/admin/metrics'],
  '/v1/webhooks',
  ...['', '/versions/1', '/metadata', '/versions/1/metadata'].map(
    (rest) => `/v1/models/faq-matcher${rest}`,
  ),
  ...['', `/${someJob}`, `/${someJob}/events`].map((rest) => `/v1/jobs${rest}`),
  ...['/v2/health/live', '/v2/health/ready'],
  ...['/v2', '/v2/models/faq-matcher', '/v2/models/faq-matcher/versions/1'],
  ...['ready', 'stats', 'config'].flatMap((last) =>
    ['', '/versions/1'].map((version) => `/v2/models/faq-matcher${version}/${last}`),
  ),
  '/v2/models/stats',
];
/** Small pictures: decoding large ones is most of what a run costs. */
const sides = [48, 160] as const;
const picturesMax = 3;

export async function makeOriginals(callers: Callers): Promise<Originals> {
  const pictures = await makePictures();
  const fields = (type?: string): Field[] => [
    ['Host', '127.0.0.1'],
    ['X-API-Key', callers.score],
    ...(type === undefined ? [] : [['Content-Type', type] as const]),
  ];
  const post = (target: string, bodyKind: BodyKind, type: string, body: string | Buffer) => ({
    ...{ method: 'POST', target, bodyKind, fields: fields(type), body: Buffer.from(body) },
  });
  const json = (target: string, value: object) =>
    post(target, 'json', 'application/json', JSON.stringify(value));

  const bare = (method: string, target: string): Original => ({
    ...{ method, target, bodyKind: 'none', fields: fields(), body: Buffer.alloc(0) },
  });
  const reads = readRoutes.flatMap((target) =>
    ['GET', 'HEAD'].map((method) => bare(method, target)),
  );
  const questions = readQuestions().slice(0, 8);
  const texts = questions.flatMap((input, index): Original[] => [
    json('/score', { input }),
    json(`/score?model=faq-matcher&deadlineMs=${20_000 + index}`, { input }),
    json(textRoute, { input, top: 1 + index, deadlineMs: 20_000 }),
    post(withVersion(textRoute), 'text', 'text/plain; charset=utf-8', input),
    json('/v2/repository/index', { ready: true }),
    json('/v2/repository/models/faq-matcher/load', { parameters: { unload_dependents: true } }),
    json('/v2/models/faq-matcher/infer', writeTensors(input)),
    json('/v2/models/faq-matcher/versions/1/infer', writeTensors(input, 2)),
    json('/v1/models/faq-matcher:predict', { instances: [input, { text: input }] }),
    json('/v1/models/faq-matcher/versions/1:predict', { inputs: [{ b64: toBase64(input) }] }),
    json(textRoute, { inputs: [input, `${input} again`], top: 1 }),
    post(textRoute, 'text', 'application/x-ndjson', writeLines([input, `${input} again`])),
    post(`${textRoute}?top=2`, 'form', formType, writeForm([{ name: 'input', bytes: input }])),
  ]);
  const shown = pictures.flatMap(({ mediaType, bytes }): Original[] => [
    post(imageRoute, 'picture', mediaType, bytes),
    post(`${withVersion(imageRoute)}?top=3`, 'picture', 'application/octet-stream', bytes),
    json('/score', { input: { picture: bytes.toString('base64') } }),
    json(imageRoute, { input: bytes.toString('base64'), top: 5 }),
    post(imageRoute, 'form', formType, writeForm([{ name: 'image', file: 'a', bytes }])),
  ]);
  const redelivery = bare('POST', `/v1/webhooks/${someJob}/redeliver`);
  const killing = bare('POST', '/v1/live/workers/7/kill');
  return { all: [...reads, redelivery, killing, ...texts, ...shown], pictures };
}

const toBase64 = (text: string) => Buffer.from(text).toString('base64');

/** Writes a text as a request of the Open Inference Protocol. */
function writeTensors(text: string, classification = 0): object {
  const inputs = [{ name: 'text', datatype: 'BYTES', shape: [1], data: [text] }];
  const outputs = [{ name: 'probabilities', parameters: { classification } }];
  return { id: 'fuzz', inputs, outputs, parameters: { deadlineMs: 20_000 } };
}

function writeLines(texts: readonly string[]): string {
  return texts.map((input, id) => `${JSON.stringify({ id, input, top: 1 })}\n`).join('');
}

const boundary = 'fuzz-boundary';
export const formType = `multipart/form-data; boundary=${boundary}`;

export interface FormPart {
  readonly name: string;
  /** Makes the part a file. */
  readonly file?: string | undefined;
  readonly bytes: string | Buffer;
}

/** Writes the parts of a form with the boundary of `formType`. */
export function writeForm(parts: readonly FormPart[]): Buffer {
  const pieces = parts.flatMap(({ name, file, bytes }) => {
    const fileName = file === undefined ? '' : `; filename="${file}"`;
    const head = `--${boundary}\r\nContent-Disposition: form-data; name="${name}"${fileName}\r\n\r\n`;
    return [Buffer.from(head), Buffer.from(bytes), Buffer.from('\r\n')];
  });
  return Buffer.concat([...pieces, Buffer.from(`--${boundary}--\r\n`)]);
}

async function makePictures(): Promise<Picture[]> {
  const photographs = readPhotographs().slice(0, picturesMax);
  const pictures: Picture[] = [];
  for (const [index, { bytes }] of photographs.entries()) {
    const side = sides[index % sides.length] as number;
    const make = () => sharp(bytes).resize(side, side, { fit: 'cover' });
    pictures.push(
      { mediaType: 'image/jpeg', bytes: await make().jpeg().toBuffer() },
      { mediaType: 'image/jpeg', bytes: await make().jpeg({ progressive: true }).toBuffer() },
      {
        mediaType: 'image/png',
        bytes: await make()
          .png({ palette: index === 0 })
          .toBuffer(),
      },
      {
        mediaType: 'image/webp',
        bytes: await make()
          .webp({ lossless: index === 0 })
          .toBuffer(),
      },
      { mediaType: 'image/gif', bytes: await make().gif().toBuffer() },
      { mediaType: 'image/tiff', bytes: await make().tiff({ compression: 'lzw' }).toBuffer() },
      { mediaType: 'image/avif', bytes: await make().avif({ effort: 0 }).toBuffer() },
    );
  }
  return pictures;
}
