// Embeds texts with a model, as its worker would: by its tokenizer, one by one.

import { Ending } from '../api/call/ending.js';
import { readEmbedding } from '../api/kinds/embedding.js';
import { text as textKind } from '../api/kinds/text.js';
import { ScorelineError } from '../shared/errors.js';
import { makeLogger } from '../shared/process/log.js';
import type { Model } from '../shared/registry/models.js';
import { loadScorer } from '../worker/batch/scorer.js';

/**
 * Returns the embeddings of the texts, one after the other.
 * @param onProgress gets how many are done
 * @throws ScorelineError of the model
 */
export async function embed(
  model: Model,
  texts: readonly string[],
  { dimension, onProgress }: { dimension: number; onProgress: (done: number) => void },
): Promise<Float32Array> {
  const vectors = new Float32Array(texts.length * dimension);
  const scorer = await loadScorer(model, makeLogger({ role: 'faq', level: 'silent' }));
  try {
    for (const [at, value] of texts.entries()) {
      const inputs = await textKind.prepare({ name: undefined, value }, model, new Ending());
      const [result] = (await scorer.score([{ inputs }])).results;
      if (!result || 'error' in result) {
        const { code, detail } = result?.error ?? { code: 'model_failed', detail: 'no result' };
        throw new ScorelineError(code, `${model.name}: ${detail}`);
      }
      vectors.set(readEmbedding(result.outputs), at * dimension);
      onProgress(at + 1);
    }
    return vectors;
  } finally {
    await scorer.close();
  }
}
