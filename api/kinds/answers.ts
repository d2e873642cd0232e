// Writes the answers for models that take single inputs, as JSON: of the native contract and of the reference
// contract.

import { tensorsOfHead } from '../../shared/manifest/heads.js';
import type { Model } from '../../shared/registry/models.js';
import { isKnown } from '../../shared/tensors/scores.js';
import type { Tensor } from '../../shared/tensors/tensors.js';
import type { ScoredReply, Timing } from '../../shared/wire/reply.js';
import { checkListed, sizesOf } from '../inference/json-tensor.js';
import { readJson } from './json.js';
import { type InputKinds, kindsOf, outputKinds } from './kinds.js';

/**
 * Writes the answer of the native contract to one input.
 * @param name what its client calls it; if it has a name, the answer has that as its id
 */
export function writeNativeAnswer(
  kinds: InputKinds,
  model: Model,
  reply: ScoredReply,
  name?: string | number,
): string {
  if (hasTensors(model)) checkListed(sizesOf(reply.outputs));
  const { output } = kindsOf(kinds, model);
  const { output: scores } = model.manifest;
  const saysKnown = 'known' in scores && scores.known !== undefined;
  const known = saysKnown ? `,"known":${isKnown(reply.outputs)}` : '';
  const id = JSON.stringify(name ?? reply.id);
  const predictions = output.writePredictions(answered(model, reply), model.labels);
  const further = model.heads.length === 0 ? '' : `,"outputs":${writeHeads(model, reply)}`;
  return `${beginningOf(model)}${id}${known},"predictions":${predictions}${further},"timing":${writeTiming(reply.timing)}}`;
}

/** Whether the native answers of a model have tensors, as its own answer or as a further one. */
export function hasTensors({ manifest, heads }: Model): boolean {
  return [manifest, ...heads].some(({ output }) => output.kind === 'tensors');
}

/** A tensor of an answer has a first dimension that counts inputs, also where those of the network have none. */
function answered({ manifest: { batch } }: Model, { outputs }: ScoredReply): readonly Tensor[] {
  if (batch.dimension === 'first') return outputs;
  return outputs.map((tensor) => ({ ...tensor, shape: [1, ...tensor.shape] }));
}

const beginnings = new WeakMap<Model, string>();

/** Returns what all answers of a model begin with, up to the id. */
function beginningOf(model: Model): string {
  const known = beginnings.get(model);
  if (known !== undefined) return known;
  const { name, version } = model;
  const beginning = `${JSON.stringify({ model: name, version }).slice(0, -1)},"id":`;
  beginnings.set(model, beginning);
  return beginning;
}

/** Writes JSON. The numbers are finite, since they were parsed by a schema. */
function writeTiming({ queueMs, batchMs, computeMs, batchSize }: Timing): string {
  return `{"queueMs":${queueMs},"batchMs":${batchMs},"computeMs":${computeMs},"batchSize":${batchSize}}`;
}

/** Writes the further answers of a model by name, each as the predictions of a model that has no other. */
function writeHeads({ heads }: Model, { outputs }: ScoredReply): string {
  const answers = heads.map((head) => {
    const { writePredictions } = outputKinds[head.output.kind];
    const predictions = writePredictions(tensorsOfHead(head, outputs), head.labels);
    return `${JSON.stringify(head.name)}:${predictions}`;
  });
  return `{${answers.join()}}`;
}

/** Writes the answer of V1 of KServe to inputs: what a program has returned for each, or what it predicts. */
export function writePredictions(
  kinds: InputKinds,
  model: Model,
  replies: readonly ScoredReply[],
): string {
  const { output } = kindsOf(kinds, model);
  const isJson = model.manifest.output.kind === 'json';
  const predictions = replies.map((reply) =>
    isJson
      ? readJson(reply.outputs)
      : output.writePredictions(answered(model, reply), model.labels),
  );
  return `{"predictions":[${predictions.join()}]}`;
}

/**
 * Writes the answer of the reference contract.
 * @param names what the caller calls its inputs
 * @param ms how long the answer took
 */
export function writeReferenceAnswer(
  kinds: InputKinds,
  model: Model,
  { replies, names, ms }: { replies: readonly ScoredReply[]; names: readonly string[]; ms: number },
): string {
  const { output } = kindsOf(kinds, model);
  const results = replies.map((reply, index) => ({
    name: names[index] ?? '',
    outputs: answered(model, reply),
  }));
  const result = output.referenceResult(results, model.labels);
  // The reference has no such key, so its clients get it only when there is something to say.
  const known = replies.every(({ outputs }) => isKnown(outputs)) ? '' : ',"known":false';
  return `{"result":[${result},"Computed in ${ms.toFixed(2)} ms"]${known}}`;
}
