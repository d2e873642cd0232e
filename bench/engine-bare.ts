// The baseline of the engine benchmark: a bare loop around onnxruntime-node. It runs as a child
// process. Each message from the parent gives the seconds of a round and starts it.

import process from 'node:process';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { readModels } from '../shared/models.js';
import { makeAdapter } from '../worker/batch/adapter.js';
import { sampleInputs, sampleText } from '../worker/batch/sample.js';
import { describeValue, toRuntime } from '../worker/engine/runtime-tensors.js';

const [directory, name] = process.argv.slice(2) as [string, string];
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
const sample = sampleInputs(manifest.input, sampleText(manifest), inputs);
const batch = adapter.stack(Array.from({ length: manifest.batch.max }, () => sample));
const feeds: Record<string, Tensor> = {};
for (const tensor of batch) {
  const { type, dims, data } = toRuntime(tensor);
  feeds[tensor.name] = new Tensor(type as 'float32', data as Float32Array, dims);
}
await session.run(feeds);

process.on('disconnect', () => process.exit(0));
process.on('message', async (seconds: number) => {
  const started = performance.now();
  let batches = 0;
  while (performance.now() - started < seconds * 1000) {
    await session.run(feeds);
    batches++;
  }
  process.send?.({
    perSecond: (batches * manifest.batch.max * 1000) / (performance.now() - started),
  });
});
process.send?.({ ready: true });
