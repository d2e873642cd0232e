// What a run asks of Scoreline: its models, the requests, and the right answers. These are the same
// wherever the service runs.

import { findModel, readModels } from '../shared/models.js';
import { prepareInputs, preparePoison, scoreTolerance } from './inputs.js';
import type { AnswerForm } from './judge.js';
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
}): Promise<Catalogue> {
  const { modelsDirectory: directory, deadlineMs } = options;
  const models = readModels({ directory, names: modelNames, filesNeeded: true });
  const inputs = new Map<string, readonly Input[]>();
  for (const model of models) inputs.set(model.name, await prepareInputs(model, deadlineMs));
  const form = makeNativeForm();
  return {
    models: modelNames,
    queues: models.map((model) => model.queue),
    inputsOf: (model) => inputs.get(model) ?? [],
    poison: (kind, model, tag) => preparePoison(findModel(models, model), kind, tag),
    formOf: () => form,
  };
}

/** Reads the answers of the native route, and checks that no two have the same id. */
function makeNativeForm(): AnswerForm {
  const ids = new Set<string>();
  return {
    tolerance: scoreTolerance,
    connectionLossIsRefusal: true,
    read(body) {
      const { id, predictions } = JSON.parse(body);
      if (typeof id !== 'string' || ids.has(id)) throw new Error(`the id ${id} came twice`);
      ids.add(id);
      return predictions.map(({ label, score }: { label: string; score: number }) => [
        label,
        score,
      ]);
    },
  };
}
