// The servers that `bench -- peers` compares: Scoreline, and those that its users would pick instead.
// Each is asked in the form that its documentation shows, and answers with the best three classes.

import type { Photograph } from '../photographs.js';

export type Scenario = 'text' | 'pictures';

/** How a server is asked, and how its answer is read. */
export interface Dialect {
  readonly title: string;
  readonly pathname: string;
  readonly headers: Readonly<Record<Scenario, Readonly<Record<string, string>>>>;
  writeText(text: string): string;
  writePicture(photograph: Photograph): Buffer | string;
  /** Returns the best label and its score. */
  readBest(answer: string): Best;
}

export interface Best {
  readonly label: string;
  readonly score: number;
}

const json = { 'Content-Type': 'application/json' };
const boundary = 'scoreline-bench';
const multipart = { 'Content-Type': `multipart/form-data; boundary=${boundary}` };
/** Padded to this length, so all pictures can be sent with one header that says it. */
const inferHeaderBytes = 256;

function writeForm(field: string, bytes: Buffer): Buffer {
  const head = `--${boundary}\r\nContent-Disposition: form-data; name="${field}"; filename="picture"\r\nContent-Type: image/jpeg\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), bytes, Buffer.from(`\r\n--${boundary}--\r\n`)]);
}

function writeInfer(value: string): string {
  return JSON.stringify({
    inputs: [{ name: 'input', shape: [1, 1], datatype: 'BYTES', data: [value] }],
  });
}

/** With the binary extension of the Open Inference Protocol. */
function writeBinaryInfer(bytes: Buffer): Buffer {
  const parameters = { binary_data_size: bytes.length + 4 };
  const head = { inputs: [{ name: 'input', shape: [1, 1], datatype: 'BYTES', parameters }] };
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bytes.length);
  return Buffer.concat([Buffer.from(JSON.stringify(head).padEnd(inferHeaderBytes)), length, bytes]);
}

function readInfer(answer: string): Best {
  const { outputs } = JSON.parse(answer) as { outputs: { name: string; data: unknown[] }[] };
  const first = (name: string) => outputs.find((output) => output.name === name)?.data[0];
  return { label: String(first('labels')), score: Number(first('scores')) };
}

function readPair([label, score]: [string, number]): Best {
  return { label, score };
}

export const scoreline: Readonly<Record<Scenario, Dialect>> = {
  text: makeScoreline('faq-matcher'),
  pictures: makeScoreline('efficientnet-lite0'),
};

function makeScoreline(model: string): Dialect {
  return {
    title: 'Scoreline',
    pathname: `/v1/models/${model}/score`,
    headers: { text: json, pictures: { 'Content-Type': 'image/jpeg' } },
    writeText: (text) => JSON.stringify({ input: text }),
    writePicture: ({ bytes }) => bytes,
    readBest: (answer) => JSON.parse(answer).predictions[0],
  };
}

/** By the name of its files in this folder. */
export const peers: Readonly<Record<string, Dialect>> = {
  triton: {
    title: 'Triton (PyTriton)',
    pathname: '/v2/models/scorer/infer',
    headers: {
      text: json,
      pictures: {
        'Content-Type': 'application/octet-stream',
        'Inference-Header-Content-Length': String(inferHeaderBytes),
      },
    },
    writeText: writeInfer,
    writePicture: ({ bytes }) => writeBinaryInfer(bytes),
    readBest: readInfer,
  },
  mlserver: {
    title: 'MLServer',
    pathname: '/v2/models/scorer/infer',
    headers: { text: json, pictures: json },
    writeText: writeInfer,
    writePicture: ({ bytes }) => writeInfer(bytes.toString('base64')),
    readBest: readInfer,
  },
  ray: {
    title: 'Ray Serve',
    pathname: '/score',
    headers: { text: { 'Content-Type': 'text/plain' }, pictures: { 'Content-Type': 'image/jpeg' } },
    writeText: (text) => text,
    writePicture: ({ bytes }) => bytes,
    readBest: (answer) => readPair(JSON.parse(answer)[0]),
  },
  litserve: {
    title: 'LitServe',
    pathname: '/predict',
    headers: { text: json, pictures: multipart },
    writeText: (text) => JSON.stringify({ input: text }),
    writePicture: ({ bytes }) => writeForm('input', bytes),
    readBest: (answer) => readPair(JSON.parse(answer).output[0]),
  },
  bentoml: {
    title: 'BentoML',
    pathname: '/score',
    headers: { text: json, pictures: multipart },
    writeText: (text) => JSON.stringify({ inputs: [text] }),
    writePicture: ({ bytes }) => writeForm('inputs', bytes),
    readBest: (answer) => readPair(JSON.parse(answer)[0][0]),
  },
};
