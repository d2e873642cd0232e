// `npm run bench -- tensors [--seconds S] [--rounds R] [--clients N]`
//
// Compares three ways to EfficientNet-lite0: (a) a photograph in JPEG on the route for images, (b) the same
// network with an input of floats, as binary tensors of 602 kB by the Open Inference Protocol, and (c) the
// network's own pixels, as binary tensors of 151 kB. One service has both models, and they take turns.

import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { load as parseYaml } from 'js-yaml';
import { makeTemporary } from '../cli/temporary.js';
import { packageDirectory } from '../shared/version.js';
import { median, runLoad } from './load.js';
import { readOptions } from './options.js';
import { report } from './report.js';
import { startBenchService } from './service.js';

const values = readOptions({
  seconds: 5,
  rounds: 5,
  clients: 16,
});

const name = 'efficientnet-lite0';
const floatName = `${name}-float`;
const sizes = [1, 224, 224, 3];
const pixels = 224 * 224 * 3;

interface Side {
  readonly name: string;
  readonly url: string;
  readonly bodies: readonly Buffer[];
  readonly headers: Readonly<Record<string, string>>;
  readonly answerHas: string;
  readonly perSecond: number[];
}

const directory = makeModels();
const service = await startBenchService({
  models: [name, floatName].join(),
  modelsDirectory: directory,
});
const floats = Float32Array.from({ length: pixels }, (_, at) => (at * 2654435761) >>> 24);
const sides: Side[] = [
  {
    name: '(a) images',
    url: `${service.url}/v1/models/${name}/score`,
    bodies: [readFileSync(path.join(packageDirectory(), 'test/photographs/siamese-cat.jpg'))],
    headers: { 'Content-Type': 'image/jpeg' },
    answerHas: '"predictions":[{"label":',
    perSecond: [],
  },
  tensorSide('(b) floats, 602 kB', floatName, 'FP32', Buffer.from(floats.buffer)),
  tensorSide('(c) pixels, 151 kB', name, 'UINT8', Buffer.from(Uint8Array.from(floats))),
];

try {
  for (const side of sides) await measure(side, 2);
  let wrong = 0;
  for (let round = 0; round < values.rounds; round++) {
    // Each side goes first, second and last equally often.
    for (const place of sides.keys()) {
      const side = sides[(place + round) % sides.length] as Side;
      const result = await measure(side, values.seconds);
      side.perSecond.push(result.perSecond);
      wrong += result.wrong;
    }
  }
  const [images] = sides as [Side];
  const ratioOf = ({ perSecond }: Side) =>
    median(perSecond.map((rate, round) => rate / (images.perSecond[round] as number)));
  report(
    'tensors',
    sides.map((side) => ({
      way: side.name,
      'requests/s': median(side.perSecond).toFixed(1),
      'of (a)': ratioOf(side).toFixed(3),
    })),
    { floats: ratioOf(sides[1] as Side), pixels: ratioOf(sides[2] as Side), wrong },
  );
} finally {
  await service.close();
}
process.exit(0);

function measure({ url, bodies, headers, answerHas }: Side, seconds: number) {
  const clients = values.clients;
  const isRight = (answer: string) => answer.includes(answerHas);
  return runLoad({ url, clients, seconds, bodies, headers, isRight });
}

function tensorSide(side: string, model: string, datatype: string, data: Buffer): Side {
  const inputs = [
    { name: 'image', datatype, shape: sizes, parameters: { binary_data_size: data.length } },
  ];
  const head = Buffer.from(JSON.stringify({ inputs, parameters: { binary_data_output: true } }));
  return {
    name: side,
    url: `${service.url}/v2/models/${model}/infer`,
    bodies: [Buffer.concat([head, data])],
    headers: {
      'Content-Type': 'application/octet-stream',
      'Inference-Header-Content-Length': String(head.length),
    },
    answerHas: '"probabilities"',
    perSecond: [],
  };
}

/** Makes a models folder with the original, and with a network that takes floats. */
function makeModels(): string {
  const models = path.join(packageDirectory(), 'models');
  const folder = makeTemporary('models');
  for (const each of [name, 'imagenet-1k.txt']) {
    cpSync(path.join(models, each), path.join(folder, each), { recursive: true });
  }
  const original = parseYaml(readFileSync(path.join(models, name, 'model.yaml'), 'utf8')) as Record<
    string,
    object
  >;
  const { example: _, output: __, ...shared } = original;
  const bytes = withFloatInput(readFileSync(path.join(models, name, 'model.onnx')));
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const network = JSON.stringify(original.network).replace('UINT8', 'FP32');
  mkdirSync(path.join(folder, floatName));
  writeFileSync(path.join(folder, floatName, 'model.onnx'), bytes);
  writeFileSync(
    path.join(folder, floatName, 'model.yaml'),
    JSON.stringify({
      ...shared,
      name: floatName,
      source: { file: 'model.onnx', bytes: bytes.length, sha256 },
      input: { kind: 'tensors' },
      output: { kind: 'tensors' },
      network: JSON.parse(network),
    }),
  );
  return folder;
}

/** Changes the type of the network's input from bytes to floats. The network begins with a cast to floats. */
function withFloatInput(model: Buffer): Buffer {
  // The name and the type of a value, as fields of onnx.proto: its lengths follow the tags 0x0a and 0x12.
  const nameField = Buffer.concat([
    Buffer.from([0x0a, 5]),
    Buffer.from('image'),
    Buffer.from([0x12]),
  ]);
  const at = model.lastIndexOf(nameField);
  const typeAt = at + nameField.length + 3;
  const isBytes = at >= 0 && model.readUInt16BE(typeAt) === 0x08_02;
  if (!isBytes) throw new Error('Expected an input "image" of bytes in the network; got another.');
  const changed = Buffer.from(model);
  changed[typeAt + 1] = 1;
  return changed;
}
