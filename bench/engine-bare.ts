// The baseline of the benchmarks `engine` and `cost`: a bare loop around onnxruntime-node. It runs as a
// child process. Each message from the parent gives the seconds of a round and starts it.
//
// Arguments: the models folder, the model, and the size of a batch if it is not `batch.max`.

import process from 'node:process';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { whenParentIsGone } from '../shared/process/parent.js';
import { readModels } from '../shared/registry/models.js';
import { makeAdapter } from '../worker/batch/inputs/adapter.js';
import { sampleInputs, textInputs } from '../worker/batch/inputs/sample.js';
import { describeValue, toRuntime } from '../worker/engine/runtime-tensors.js';
import { readQuestions } from './questions.js';

const [directory, name, size] = process.argv.slice(2) as [string, string, string | undefined];
const [model] = readModels({ directory, names: [name], filesNeeded: true });
if (!model) throw new Error('No model. This is a bug.');
const { manifest } = model;
const session = await InferenceSession.create(model.file, {
  executionProviders: ['cpu'],
  intraOpNumThreads: manifest.device.threads,
  interOpNumThreads: 1,
  executionMode: 'sequential',
  logSeverityLevel: 3,
});
const inputs = session.inputMetadata.map(describeValue);
const adapter = makeAdapter(manifest.input, {
  name: model.name,
  inputs,
  batch: manifest.batch,
});
const batchSize = Number(size ?? manifest.batch.max);
const batches = makeItems().map((items) => {
  const feeds: Record<string, Tensor> = {};
  for (const tensor of adapter.stack(items)) {
    const { type, dims, data } = toRuntime(tensor);
    feeds[tensor.name] = new Tensor(type as 'float32', data as Float32Array, dims);
  }
  return feeds;
});
for (const feeds of batches) await session.run(feeds);

whenParentIsGone(process, () => process.exit(0));
process.on('message', async (seconds: number) => {
  const started = performance.now();
  const startedUs = processorUs();
  let runs = 0;
  while (performance.now() - started < seconds * 1000) {
    await session.run(batches[runs % batches.length] as Record<string, Tensor>);
    runs++;
  }
  const items = runs * batchSize;
  process.send?.({
    perSecond: (items * 1000) / (performance.now() - started),
    processorUs: (processorUs() - startedUs) / items,
  });
});
process.send?.({ ready: true });

function processorUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** The inputs of some batches: questions of the corpus for a model of texts, else samples. */
function makeItems() {
  if (manifest.input.kind !== 'text') {
    const sample = sampleInputs(manifest, inputs);
    return [Array.from({ length: batchSize }, () => sample)];
  }
  const questions = readQuestions().map(textInputs);
  return Array.from({ length: 50 }, (_, at) =>
    Array.from({ length: batchSize }, (__, place) => {
      const index = (at * batchSize + place) % questions.length;
      return questions[index] as (typeof questions)[number];
    }),
  );
}
