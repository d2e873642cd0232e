// Checks that a network takes as many tokens as its manifest lets through. Only long texts would find out
// otherwise, and fail.

import type { Model } from '../../shared/registry/models.js';
import { textInputs } from '../../worker/batch/inputs/sample.js';
import type { Scorer, ScorerItem } from '../../worker/batch/scorer.js';
import { wrongFile } from '../faults.js';

/**
 * Scores the longest text. Returns undefined if the network takes no tokens.
 * @throws ScorelineError `model_file_wrong` if the network fails on it
 */
export async function checkLongestText(
  { name, manifest: { input } }: Model,
  scorer: Scorer,
  { top }: Pick<ScorerItem, 'top'>,
): Promise<string | undefined> {
  if (input.kind !== 'text' || input.tokensMax === undefined) return undefined;
  const text = 'a '.repeat(input.tokensMax).slice(0, input.charactersMax);
  const { results } = await scorer.score([{ inputs: textInputs(text), top }]);
  if (results.some((result) => 'error' in result)) {
    throw wrongFile(
      `${name}: input.tokensMax: expected at most as many tokens as the network has positions for; it fails on a text of ${input.tokensMax}. Lower it: max_position_embeddings in its config.json says how many there are.`,
    );
  }
  return `a text of ${input.tokensMax} fits`;
}
