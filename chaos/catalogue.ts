// What a run asks of Scoreline: its models, the requests, and the right answers. These are the same
// wherever the service runs.

import { findModel, readModels } from '../shared/registry/models.js';
import { type Contract, nativeContract } from './contracts.js';
import { prepareInputs, preparePoison } from './inputs.js';
import type { Input, Target } from './target.js';

/** The models of a run; the first one gets most of the requests. */
export const modelNames = ['faq-matcher', 'efficientnet-lite0'] as const;

export interface Catalogue extends Pick<Target, 'models' | 'inputsOf' | 'poison' | 'formOf'> {
  /** The BullMQ queues of the models. */
  readonly queues: readonly string[];
}

/** Reads the models of a folder, and computes the right answers. */
export async function prepareCatalogue(options: {
  modelsDirectory: string;
  deadlineMs: number;
  contract?: Contract;
}): Promise<Catalogue> {
  const { modelsDirectory: directory, deadlineMs, contract = nativeContract() } = options;
  const models = readModels({ directory, names: modelNames, filesNeeded: true });
  const inputs = new Map<string, readonly Input[]>();
  for (const model of models) {
    inputs.set(model.name, await prepareInputs(model, deadlineMs, contract));
  }
  const form = contract.makeForm();
  return {
    models: modelNames,
    queues: models.map((model) => model.queue),
    inputsOf: (model) => inputs.get(model) ?? [],
    poison: (kind, model, tag) => preparePoison(findModel(models, model), kind, tag),
    formOf: () => form,
  };
}
