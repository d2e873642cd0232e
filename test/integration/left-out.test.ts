// Tests that a model which cannot be served stops neither the others nor the process: with the real
// API, workers and commands.

import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { describe, expect, onTestFinished, test } from 'vitest';
import { findFreePort } from '../../cli/redis/redis.js';
import { encodeStrings } from '../../shared/tensors/tensors.js';
import { parseMetrics } from '../../top/exposition.js';
import { runCommand } from '../command.js';
import { addCounter, counterName } from '../failures/counter.js';
import {
  ask,
  type LogLine,
  openRedisForAll,
  post,
  root,
  serviceEnvironment,
  startProcess,
  startService,
  waitUntil,
} from '../harness.js';
import { elementTypes, externalTensor, inDomain, node, onnxModel, value } from '../onnx.js';
import { makeFolder, sampleLabels, sampleManifest, sourceOf } from '../unit/sample-model.js';
import { askGrpc, encodeInfer } from './grpc-client.js';

const redis = await openRedisForAll();

/** The models that only a worker can tell to be wrong, by the content of their ONNX files. */
const unusable = {
  'cut-off': 'no ONNX',
  empty: '',
  custom: networkOf([inDomain('acme.vision', node('Rotate', ['text'], ['scores']))]),
  outside: networkOf([], [externalTensor('w', 1, [5], { location: '../elsewhere.bin' })]),
};

function networkOf(nodes: Buffer[], constants: Buffer[] = []): Buffer {
  const inputs = [value('text', elementTypes.BYTES, ['N'])];
  const outputs = [value('scores', elementTypes.FP32, ['N', 5])];
  return onnxModel({ nodes, constants, inputs, outputs });
}

function addModel(directory: string, name: string, onnx: string | Buffer): void {
  const folder = path.join(directory, name);
  mkdirSync(folder);
  const described = sourceOf('model.onnx', onnx);
  const source = { ...described, bytes: Math.max(1, described.bytes) };
  writeFileSync(
    path.join(folder, 'model.yaml'),
    JSON.stringify({ ...sampleManifest, name, source }),
  );
  writeFileSync(path.join(folder, 'labels.txt'), sampleLabels);
  writeFileSync(path.join(folder, 'model.onnx'), onnx);
}

/** Adds a copy of the counter that fails on its own example. */
function addFailing(directory: string): void {
  const [from, to] = [path.join(directory, counterName), path.join(directory, 'failing')];
  cpSync(from, to, { recursive: true });
  const file = path.join(to, 'model.yaml');
  const manifest = JSON.parse(readFileSync(file, 'utf8'));
  const example = { input: 'no number', expected: { label: 'digit 1' } };
  writeFileSync(file, JSON.stringify({ ...manifest, name: 'failing', example }));
}

/** Makes a models folder with a good model and several that cannot be served. */
function makeModels({ withGood = true } = {}): string {
  const half = readFileSync(path.join(root, 'test/cases/half-model.yaml'), 'utf8');
  const directory = makeFolder({
    'half/model.yaml': half,
    'fileless/model.yaml': { ...sampleManifest, name: 'fileless' },
    'fileless/labels.txt': sampleLabels,
  });
  for (const [name, onnx] of Object.entries(unusable)) addModel(directory, name, onnx);
  addCounter(directory);
  addFailing(directory);
  if (!withGood) rmSync(path.join(directory, counterName), { recursive: true });
  return directory;
}

const leftOutIn = (log: readonly LogLine[], pid: number) =>
  log
    .filter((line) => line.pid === pid && line.msg === 'a model is left out')
    .map(({ level, model, code }) => `${level} ${model}: ${code}`)
    .toSorted();

describe('with some models that cannot be served', () => {
  test('the API and a worker, also a later one, serve the others and log what is left out', async () => {
    const service = await startService({
      redisUrl: redis.url,
      environment: { MODELS_DIR: makeModels(), MODELS: '' },
    });
    onTestFinished(() => service.close());
    const worker = await service.addWorker();
    const answer = await post(`${service.url}/v1/models/${counterName}/score`, { input: '7' });
    expect(answer.body.predictions[0]).toMatchObject({ label: 'digit 7', score: 1 });

    const unread = ['50 fileless: model_file_missing', '50 half: manifest_invalid'];
    expect(leftOutIn(service.log, service.api.pid)).toEqual(unread);
    expect(leftOutIn(service.log, worker.pid)).toEqual(
      [
        ...unread,
        ...Object.keys(unusable).map((name) => `50 ${name}: model_file_wrong`),
        '50 failing: model_file_wrong',
      ].toSorted(),
    );
    const reasons = service.log
      .filter(({ pid }) => pid === worker.pid)
      .map((line) => (line.err as { message: string }).message);
    expect(reasons.find((reason) => reason.includes('cut-off'))).toContain('at byte 0');
    expect(reasons.find((reason) => reason.includes('custom:'))).toContain('"acme.vision.Rotate"');
    expect(reasons.find((reason) => reason.includes('outside:'))).toContain('"../elsewhere.bin"');
    expect(reasons.find((reason) => reason.includes('failing'))).toMatch(
      /^failing: expected the model to score one input. ONNX Runtime says: .*Cast/,
    );
    expect(reasons.find((reason) => reason.includes('empty'))).toContain('The file is empty');

    const list = await ask(`${service.url}/v1/models`);
    expect(list.body.leftOut).toEqual([
      {
        ...{ name: 'fileless', version: '1', code: 'model_file_missing' },
        reason: 'A model file is missing',
      },
      { name: 'half', code: 'manifest_invalid', reason: 'A model.yaml or traffic.yaml is wrong' },
    ]);
    const half = await post(`${service.url}/v1/models/half/score`, { input: '7' });
    expect(half).toMatchObject({ status: 422, body: { code: 'model_load_failed' } });
    expect(half.body.detail).toContain('The model "half" is not served');
    expect(half.body.detail).toContain('manifest_invalid');
  });

  test('their requests count as failures of the model, at each address that scores', async () => {
    const service = await startService({
      redisUrl: redis.url,
      environment: { MODELS_DIR: makeModels(), MODELS: '', METRICS_PORT: '0', GRPC_PORT: '0' },
    });
    onTestFinished(() => service.close());
    const { metricsPort, grpcPort } = await service.api.ready;
    const inputs = [{ name: 'text', datatype: 'BYTES', shape: [1], data: ['7'] }];
    const raw = [encodeStrings(['7'])];
    const message = encodeInfer({ model: 'half', inputs, raw });
    const live = async () => (await ask(`${service.url}/v1/live`)).body;
    await waitUntil('the live figures begin', async () => (await live()).times.length > 0);
    await Promise.all([
      post(`${service.url}/v1/models/half/score`, { input: '7' }),
      post(`${service.url}/v1/models/half/versions/1/score`, { input: '7' }),
      post(`${service.url}/score?model=half`, { input: '7' }),
      post(`${service.url}/v2/models/half/infer`, { inputs }),
      askGrpc(Number(grpcPort), 'ModelInfer', message, { deadlineMs: 60_000 }),
      ask(`${service.url}/v2/models/half`),
      post(`${service.url}/v1/models/none/score`, { input: '7' }),
      post(`${service.url}/v1/models/${counterName}/versions/9/score`, { input: '7' }),
    ]);
    const counted = async () => {
      const { body } = await ask(`http://127.0.0.1:${metricsPort}/metrics`);
      const samples = parseMetrics(body).get('scoreline_requests_total')?.samples ?? [];
      return samples
        .filter(({ labels, value }) => value > 0 && labels.code !== 'ok')
        .map(({ labels: { route, model, code }, value }) => `${route} ${model} ${code} ${value}`)
        .toSorted();
    };
    const expected = [
      'grpc half model_load_failed 1',
      'inference half model_load_failed 1',
      'native half model_load_failed 2',
      'other  model_not_found 2',
      'other half model_load_failed 1',
      'reference half model_load_failed 1',
    ];
    await waitUntil('all are counted', async () => (await counted()).join() === expected.join());
    await waitUntil('the live figures have them', async () => {
      const { unnamed } = await live();
      return unnamed.failures.some((rate: number | null) => (rate ?? 0) > 0);
    });
  });

  test('npm start serves the others, and says once what is left out', async () => {
    const child = spawn(process.execPath, ['dist/cli/start.js'], {
      cwd: root,
      env: {
        ...process.env,
        REDIS_URL: redis.url,
        MODELS_DIR: makeModels(),
        PORT: String(await findFreePort()),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    const exited = new Promise((resolve) => child.once('exit', resolve));
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        output += chunk;
      });
    }
    await waitUntil('npm start is ready', () => output.includes('Press Ctrl-C'), 60_000);
    expect(output.match(/left out: half: .*half\/model.yaml: source: /g)).toHaveLength(1);
    expect(output.match(/left out: fileless: /g)).toHaveLength(1);
    expect(output.match(/cut-off: \S+model.onnx: expected an ONNX model/g)).toHaveLength(1);
    expect(output.match(/^ {2}curl .*\/models\/\S+\/score/gm)).toEqual([
      expect.stringContaining(`/v1/models/${counterName}/score`),
    ]);
    child.kill('SIGINT');
    expect(await exited).toBe(0);
  });

  test('the commands go on with the others', async () => {
    const directory = makeModels();
    const list = await runModels(directory, 'list');
    expect(list.code).toBe(0);
    expect(list.out).toContain(counterName);
    expect(list.err).toMatch(/^half is left out: .*half\/model.yaml: source: /);
    const one = await runModels(directory, 'check', counterName);
    expect(one).toMatchObject({ code: 0, err: '' });

    const all = await runModels(directory, 'check');
    expect(all.code).toBe(1);
    expect(all.out).toContain('"digit 1" at 1, as expected');
    for (const name of ['half', 'fileless', 'failing', ...Object.keys(unusable)]) {
      expect(all.err).toContain(name);
    }
    // ONNX Runtime itself would write in colour.
    expect(all.err).not.toContain('\u001b');
    expect(all.err.match(/cannot be read at byte 0/g)).toHaveLength(1);
    expect(all.err.match(/"acme.vision.Rotate"/g)).toHaveLength(1);
    expect(all.err.match(/"..\/elsewhere.bin"/g)).toHaveLength(1);
    expect(all.err.match(/Cast/g)).toHaveLength(1);
  });
});

describe('with no model that can be served', () => {
  test.each(['api', 'worker'] as const)('the %s stops, with the reasons', async (role) => {
    const environment = serviceEnvironment({
      redisUrl: redis.url,
      environment: { MODELS_DIR: makeModels({ withGood: false }), MODELS: 'half,fileless' },
    });
    const log: LogLine[] = [];
    // An API without files serves a model, whose worker has them.
    if (role === 'api') environment.MODELS = 'half';
    const child = startProcess(role, environment, log);
    await expect(child.ready).rejects.toThrow(/half\/model.yaml: source: /);
    if (role === 'worker') await expect(child.ready).rejects.toThrow(/fileless: expected the file/);
    expect(await child.exited).toBe(1);
  });

  test('a worker stops once all of them have been tried', async () => {
    const environment = serviceEnvironment({
      redisUrl: redis.url,
      environment: { MODELS_DIR: makeModels({ withGood: false }), MODELS: 'cut-off,empty' },
    });
    const child = startProcess('worker', environment, []);
    await expect(child.ready).rejects.toThrow(/cut-off[\s\S]*empty/);
    expect(await child.exited).toBe(1);
  });

  test.each(['list', 'check'])('the command `%s` fails with the reasons', async (command) => {
    const directory = makeFolder({ 'half/model.yaml': 'name: half\n' });
    const { code, err } = await runModels(directory, command);
    expect(code).toBe(1);
    expect(err).toContain('half/model.yaml: source: ');
  });
});

/** Runs a command of `npm run models`. */
const runModels = (directory: string, ...parameters: string[]) =>
  runCommand('models', parameters, { env: { MODELS_DIR: directory } });
