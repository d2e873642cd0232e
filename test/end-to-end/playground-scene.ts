// A local run with API keys, for tests that look at its pages in a browser, and a proxy before it that serves it
// behind a prefix.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, request as forward } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import process from 'node:process';
import { hashApiKey, makeApiKey, makeApiKeyId } from '../../api/access/api-key.js';
import { root, waitUntil } from '../harness.js';
import { elementTypes, node, tensor } from '../onnx.js';
import { environmentOfTests, hasPython } from '../python.js';
import { addAdder, addTensorModel, declared } from '../tensor-model.js';
import { writeFolder } from '../unit/sample-model.js';

export interface PlaygroundScene {
  /** The address of the page. */
  readonly url: string;
  /** The same behind a prefix. */
  readonly prefixed: string;
  readonly key: string;
  close(): Promise<void>;
}

const included = ['faq-matcher', 'efficientnet-lite0', 'breast-cancer', 'imagenet-1k.txt'];
/** Of the adder. */
const example = {
  inputs: [
    { name: 'a', shape: [1, 3], data: [1, 2, 3] },
    { name: 'b', shape: [1, 3], data: [10, 20, 30] },
  ],
};

export async function openPlaygroundScene(): Promise<PlaygroundScene> {
  const folder = writeFolder({});
  const models = path.join(folder, 'models');
  for (const name of included) {
    cpSync(path.join(root, 'models', name), path.join(models, name), { recursive: true });
  }
  addAdder(models, 'adder', { example });
  addParcels(models);
  if (hasPython) {
    addProgram(models, { name: 'echo', input: { kind: 'json' }, example: { input: { a: [1.5] } } });
    addProgram(models, { name: 'length', input: { kind: 'file' } });
  }
  addVersions(models, path.join(folder, 'drafts'));
  const key = writeKeys(path.join(folder, 'keys.yaml'));
  const child = spawn(process.execPath, [path.join(root, 'dist/cli/start.js')], {
    env: {
      ...process.env,
      ...{ REDIS_URL: '', DATA_DIR: folder, MODELS_DIR: models, PORT: '0', WORKERS: '2' },
      PLAYGROUND_TRACE_URL: 'https://traces.example.com/{traceId}',
      ...{ AUTH: 'keys', KEYS_FILE: path.join(folder, 'keys.yaml') },
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.on('data', (chunk) => {
    said += chunk;
  });
  await waitUntil('npm start is ready', () => said.includes('Press Ctrl-C'));
  const url = `${/http:\/\/127\.0\.0\.1:\d+/.exec(said)?.[0]}/`;
  const proxy = await openProxy(url);
  return {
    ...{ url, key },
    prefixed: proxy.url,
    close: async () => {
      proxy.close();
      child.kill('SIGINT');
      if (child.exitCode === null) await once(child, 'exit');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Adds a program that answers with the JSON that it gets and how Python writes it, or with the length of a file. */
function addProgram(models: string, manifest: { name: string; input: object; example?: object }) {
  const folder = path.join(models, manifest.name);
  mkdirSync(folder);
  const program = `
def predict(inputs):
    return [{"got": len(each)} if type(each) is bytes else {"got": each, "seen": str(each)} for each in inputs]
`;
  const head = {
    version: 1,
    description: 'A program.',
    engine: 'python',
    output: { kind: 'json' },
  };
  writeFileSync(path.join(folder, 'predict.py'), program);
  writeFileSync(path.join(folder, 'requirements.txt'), '');
  writeFileSync(path.join(folder, 'model.yaml'), JSON.stringify({ ...head, ...manifest }));
  symlinkSync(environmentOfTests(), path.join(folder, '.venv'));
}

/** Adds `parcels`: a table whose texts come back as they went, with the weight times 1001. */
function addParcels(models: string): void {
  const texts = ['kind', 'note', 'street'];
  const factor = Buffer.alloc(8);
  factor.writeBigInt64LE(1001n);
  addTensorModel(models, {
    name: 'parcels',
    nodes: [
      ...texts.map((name) => node('Identity', [name], [`${name}_out`])),
      node('Mul', ['weight', 'factor'], ['product']),
    ],
    constants: [tensor('factor', elementTypes.INT64, [1], factor)],
    network: {
      inputs: [
        ...texts.map((name) => declared(name, 'BYTES', [-1, 1])),
        declared('weight', 'INT64', [-1, 1]),
      ],
      outputs: [
        ...texts.map((name) => declared(`${name}_out`, 'BYTES', [-1, 1])),
        declared('product', 'INT64', [-1, 1]),
      ],
    },
    changes: {
      input: {
        kind: 'table',
        columns: [
          { name: 'kind', datatype: 'category', categories: [' a', '', 'b'], missing: 'none' },
          { name: 'note', datatype: 'category', missing: 'none' },
          { name: 'street', datatype: 'category' },
          { name: 'weight', datatype: 'number' },
        ],
      },
    },
  });
}

/** Adds `shared`: two versions that share the requests, a shadow, and one that no worker can load. */
function addVersions(models: string, drafts: string): void {
  for (const version of ['1', '2', '3', '4']) {
    const draft = path.join(drafts, version);
    addAdder(draft, 'shared', { version, example });
    cpSync(path.join(draft, 'shared'), path.join(models, 'shared', version), { recursive: true });
  }
  writeFileSync(path.join(models, 'shared/4/model.onnx'), 'cut');
  const traffic = {
    ...{ latest: '1', weights: { 1: 90, 2: 10 }, sticky: { header: 'X-User-Id' } },
    shadow: { version: '3', percent: 50 },
  };
  writeFileSync(path.join(models, 'shared/traffic.yaml'), JSON.stringify(traffic));
}

function writeKeys(file: string): string {
  const id = makeApiKeyId();
  const key = makeApiKey(id);
  const sha256 = hashApiKey(key).toString('hex');
  const record = { id, name: 'visitor', sha256, scopes: ['score', 'jobs', 'admin'] };
  writeFileSync(file, JSON.stringify([record]));
  return key;
}

const prefix = '/ml/scoring/';

async function openProxy(target: string): Promise<{ url: string; close(): void }> {
  const server = createServer((request, response) => {
    if (!request.url?.startsWith(prefix)) return void response.writeHead(404).end();
    const address = new URL(request.url.slice(prefix.length), target);
    const { method, headers } = request;
    const onward = forward(address, { ...(method && { method }), headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}${prefix}`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
