// The feeds of a model's network, for tools that run it without the engine.

import type { Model } from '../../../shared/registry/models.js';
import type { Tensor } from '../../../shared/tensors/tensors.js';
import type { TensorValue } from '../../engine/engine.js';
import { withTokenizer } from '../network/model-engine.js';
import type { TokensRunner } from '../network/tokens.js';
import { makeAdapter } from './adapter.js';

/**
 * Returns the tensors that a network takes for each batch of items: tokens in place of texts, and floats in place of pixels.
 * @param inputs those of the network in the file
 * @throws ScorelineError `model_file_wrong`
 */
export async function feedsOf(
  model: Model,
  inputs: readonly TensorValue[],
  batches: ReadonlyArray<ReadonlyArray<readonly Tensor[]>>,
): Promise<(readonly Tensor[])[]> {
  const { name, manifest } = model;
  const feeds: (readonly Tensor[])[] = [];
  const network: TokensRunner = {
    inputs,
    async run(batch) {
      feeds.push(batch);
      return { outputs: [], computeMs: 0 };
    },
  };
  const engine = await withTokenizer(network, model);
  const adapter = makeAdapter(manifest.input, {
    ...{ name, inputs: engine.inputs },
    batch: manifest.batch,
  });
  for (const items of batches) await engine.run(adapter.stack(items));
  return feeds;
}
