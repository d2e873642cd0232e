import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import process from 'node:process';
import { expect, test } from 'vitest';
import { withRuntimeSettings } from '../../cli/processes/environment.js';
import { readConfiguration } from '../../shared/configuration/configuration.js';
import { packageDirectory } from '../../shared/version.js';
import { elementTypes, node, onnxModel, tensor, value } from '../onnx.js';
import { makeFolder } from '../unit/sample-model.js';

const { FP32: float } = elementTypes;
const { UV_THREADPOOL_SIZE: _threads, MALLOC_MMAP_THRESHOLD_: _threshold, ...bare } = process.env;

test('a process gets threads for its cores, and the API reads how many', () => {
  const script = 'console.log(process.env.UV_THREADPOOL_SIZE, os.availableParallelism())';
  const { stdout } = spawnSync(process.execPath, ['-e', script], {
    env: withRuntimeSettings(bare),
  });
  const [threads = '', cores] = String(stdout).trim().split(' ');
  expect(Number(threads)).toBeGreaterThan(Number(cores));
  expect(readConfiguration('api', { UV_THREADPOOL_SIZE: threads }).UV_THREADPOOL_SIZE).toBe(
    Number(threads),
  );
});

test('what is set stays', () => {
  const set = { UV_THREADPOOL_SIZE: '7', MALLOC_MMAP_THRESHOLD_: '1048576' };
  expect(withRuntimeSettings(set)).toEqual(set);
});

/** Loads and unloads a network three times, and prints the resident megabytes before and after. */
const script = `
  const { InferenceSession } = require('onnxruntime-node');
  const megabytes = () => process.memoryUsage.rss() / 1024 ** 2;
  (async () => {
    const before = megabytes();
    for (let count = 0; count < 3; count++) {
      await (await InferenceSession.create(process.argv[1], { intraOpNumThreads: 1 })).release();
    }
    console.log(megabytes() - before);
  })();
`;

test.runIf(process.platform === 'linux')(
  'the memory of a network that is unloaded goes back',
  () => {
    const [layers, size] = [5, 2048];
    const names = Array.from({ length: layers + 1 }, (_, layer) => `layer-${layer}`);
    const weights = Buffer.alloc(size * size * 4, randomBytes(4096));
    const network = onnxModel({
      nodes: names
        .slice(1)
        .map((name, layer) => node('MatMul', [`layer-${layer}`, `w${layer}`], [name])),
      constants: names
        .slice(1)
        .map((_, layer) => tensor(`w${layer}`, float, [size, size], weights)),
      inputs: [value('layer-0', float, ['N', size])],
      outputs: [value(`layer-${layers}`, float, ['N', size])],
    });
    const file = path.join(makeFolder({ 'model.onnx': network }), 'model.onnx');
    const kept = (env: NodeJS.ProcessEnv) => {
      const run = spawnSync(process.execPath, ['-e', script, file], {
        env,
        cwd: packageDirectory(),
      });
      expect(String(run.stderr)).toBe('');
      return Number(run.stdout);
    };
    expect(kept(withRuntimeSettings(bare))).toBeLessThan(kept(bare) / 2);
  },
);
