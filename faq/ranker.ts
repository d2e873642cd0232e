// Ranks the questions of an FAQ by embeddings: of the questions, answers and paraphrases that it has, the
// members, and of the question that somebody asks.
//
// "None of these" competes as one more question, whose nearness and decision are always the same. What the
// probabilities of all questions lack to 1 is its probability.
//
// A question's nearness is the mean of exp(14 · cosine) over its members: the nearest count most, and many
// paraphrases are no advantage by themselves. With training there is a linear classifier, too, and the
// logits are a sum of both. docs/faq.md has what led to these numbers.

import type { Classifier } from './classifier.js';
import { type Members, product } from './members.js';

export const nearnessFactor = 14;
/** The weights of both parts of the logits, which make their softmax honest probabilities. */
export const weights = {
  untrained: { nearness: 2.3, decision: 0 },
  trained: { nearness: 0.8, decision: 4.7 },
} as const;

/** The cosine and the decision of "none of these". */
const none = { cosine: 0.35, decision: -0.6 };

/**
 * Ranks as the graph does (head.ts), for the evaluation.
 * @returns the probability of each question
 * @param without a question that is left out, as if the FAQ did not have it
 */
export function rank(
  asked: Float32Array,
  {
    members,
    questions,
    classifier,
  }: { members: Members; questions: number; classifier?: Classifier | undefined },
  without = -1,
): Float64Array {
  const sums = new Float64Array(questions);
  const counts = new Float64Array(questions);
  for (const [at, question] of members.questions.entries()) {
    if (question === without) continue;
    const own = product(asked, members.vectors, at * members.dimension);
    sums[question] = (sums[question] as number) + Math.exp(nearnessFactor * own);
    counts[question] = (counts[question] as number) + 1;
  }
  const { nearness, decision } = classifier ? weights.trained : weights.untrained;
  const logits = sums.map((sum, question) => {
    if (counts[question] === 0) return Number.NEGATIVE_INFINITY;
    const near = nearness * Math.log(sum / (counts[question] as number));
    return near + (classifier ? decision * decide(classifier, asked, question) : 0);
  });
  return softmax(logits, noneLogit(classifier !== undefined));
}

/** The logit of "none of these". */
export function noneLogit(isTrained: boolean): number {
  const { nearness, decision } = isTrained ? weights.trained : weights.untrained;
  return nearness * nearnessFactor * none.cosine + decision * none.decision;
}

/** Makes probabilities of logits, beside another one whose probability is left out. */
function softmax(logits: Float64Array, beside: number): Float64Array {
  const largest = logits.reduce((most, logit) => Math.max(most, logit), beside);
  const parts = logits.map((logit) => Math.exp(logit - largest));
  const sum = parts.reduce((total, part) => total + part, Math.exp(beside - largest));
  return parts.map((part) => part / sum);
}

/** How far a classifier thinks that a question is asked: about 1 if so, and about -1 if not. */
function decide({ vectors, offsets }: Classifier, asked: Float32Array, question: number): number {
  return product(asked, vectors, question * asked.length) + (offsets[question] as number);
}
