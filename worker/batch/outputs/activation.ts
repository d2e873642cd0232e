// Judges whether the activation in the manifest fits the network, by the scores of a sample. It can
// only suspect: a network may mean scores above 1, and logits may happen to look like probabilities.

import { scoresOf } from '../../../shared/manifest/manifest.js';
import type { Model } from '../../../shared/registry/models.js';

/** Float16 scores are rounded to a thousandth. */
const tolerance = 0.01;

/** So many logits are hardly ever all from 0 to 1. */
const manyScores = 4;

/**
 * Returns a warning if the network's own scores of one row, before the activation, do not fit it.
 */
export function judgeScores(model: Model, row: Float32Array): string | undefined {
  const { activation } = scoresOf(model.manifest);
  let [low, high, sum] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0];
  for (const score of row) {
    low = Math.min(low, score);
    high = Math.max(high, score);
    sum += score;
  }
  if (!Number.isFinite(sum)) {
    return `${model.name}: expected scores that are finite numbers; a sample has others`;
  }
  const areWithin = low >= -tolerance && high <= 1 + tolerance;
  if (activation === 'none' && !areWithin) {
    const remedy =
      row.length === 1
        ? 'sigmoid'
        : 'softmax, or sigmoid if an input can have several of the labels';
    return `${model.name}: output.activation: expected scores from 0 to 1 with "none"; those of a sample go from ${show(low)} to ${show(high)}. If they are logits, set activation: ${remedy}`;
  }
  if (activation === 'sigmoid' && areWithin && row.length >= manyScores) {
    return `${model.name}: output.activation: expected logits with "sigmoid"; the scores of a sample look like probabilities already, from ${show(low)} to ${show(high)}. If they are, set activation: none`;
  }
  if (activation === 'softmax' && areWithin && Math.abs(sum - 1) < tolerance && row.length > 1) {
    return `${model.name}: output.activation: expected logits with "softmax"; the scores of a sample are probabilities already, from ${show(low)} to ${show(high)} with the sum ${show(sum)}. Set activation: none`;
  }
  return undefined;
}

function show(number: number): string {
  return String(Number(number.toPrecision(3)));
}
