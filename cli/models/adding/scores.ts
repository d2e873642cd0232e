// Tells by the scores of a sample how they are read: as probabilities or logits, of one class or of several.

/** How the scores are read, and why. */
export interface Reading {
  readonly activation: 'none' | 'softmax' | 'sigmoid';
  readonly threshold?: number;
  readonly reason?: string;
}

/** @param hasSeveralLabels whether a file beside the network says that an input can have several labels */
export function readScores(scores: readonly number[], hasSeveralLabels: boolean): Reading {
  const sum = scores.reduce((total, score) => total + score, 0);
  // A forest adds up to a little more than 1.
  const areWithin = scores.every((score) => score >= -1e-6 && score <= 1 + 1e-6);
  const isWhole = Math.abs(sum - 1) < 0.01;
  if (hasSeveralLabels) {
    const activation = areWithin ? 'none' : 'sigmoid';
    const reason = `are ${areWithin ? 'probabilities' : `no probabilities, so activation is ${activation}`}; config.json says that an input can have several labels: threshold is 0.5`;
    return { activation, threshold: 0.5, reason };
  }
  if (areWithin && (isWhole || scores.length === 1)) return { activation: 'none' };
  if (areWithin) {
    return {
      activation: 'none',
      threshold: 0.5,
      reason: `are within 0 and 1, and their sum is ${sum.toPrecision(3)}, so an input can have several labels: threshold is 0.5. If they are logits: --set output.activation=softmax`,
    };
  }
  // The scores of two classes are made of one: p and 1 - p.
  if (isWhole && scores.length === 2) {
    return { activation: 'sigmoid', reason: 'is no probability, so activation is sigmoid' };
  }
  return {
    activation: 'softmax',
    reason:
      'are no probabilities, so activation is softmax. If an input can have several labels: --set output.activation=sigmoid --set output.threshold=0.5',
  };
}
