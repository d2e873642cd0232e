// Measures an FAQ on its own paraphrases: each is asked while it and the others of its fold are left out. An FAQ
// without paraphrases is measured less well, by asking its questions of its answers.
//
// For "none of these", each paraphrase is asked once more of the FAQ without its question. The threshold lets
// nine of ten right answers pass; what share of these others passes, too, is the measure.

import { trainClassifier } from './classifier.js';
import { type Members, type MemberText, pickMembers, vectorAt } from './members.js';
import { rank } from './ranker.js';

export interface Measures {
  readonly asked: number;
  readonly accuracyAt1: number;
  readonly accuracyAt3: number;
  readonly meanRank: number;
  /** The score that nine of ten right answers reach. */
  readonly threshold: number;
  /** The share of questions that the FAQ does not have and that reach it, too. */
  readonly falseAnswers: number;
}

const folds = 5;
const shareKept = 0.9;

interface Asked {
  readonly rank: number;
  readonly score: number;
  /** The best score if the FAQ does not have the question. */
  readonly scoreWithout: number;
}

/** Whether an FAQ has enough paraphrases to be measured with them. */
export function hasParaphrases(texts: readonly MemberText[]): boolean {
  return texts.some(({ kind }) => kind === 'paraphrase');
}

export function evaluate(
  members: Members,
  texts: readonly MemberText[],
  { questions, isTrained }: { questions: number; isTrained: boolean },
): Measures {
  const asked = foldsOf(texts).flatMap(({ left, kept }) => {
    const known = pickMembers(members, kept);
    const classifier = isTrained ? trainClassifier(known, questions) : undefined;
    return left.map((at) => {
      const vector = vectorAt(members.vectors, members.dimension, at);
      const own = members.questions[at] as number;
      const ranker = { members: known, questions, classifier };
      const scores = rank(vector, ranker);
      const scoreWithout = Math.max(...rank(vector, ranker, own));
      return { rank: rankOf(scores, own), score: Math.max(...scores), scoreWithout };
    });
  });
  return measure(asked);
}

/** Which texts are asked, and of which others, by their places. */
function foldsOf(texts: readonly MemberText[]): { left: number[]; kept: number[] }[] {
  const places = [...texts.keys()];
  const kindOf = (at: number) => texts[at]?.kind;
  if (!hasParaphrases(texts)) {
    const left = places.filter((at) => kindOf(at) === 'question');
    return [{ left, kept: places.filter((at) => kindOf(at) === 'answer') }];
  }
  const numbers = new Map<number, number>();
  const foldOf = new Map<number, number>();
  for (const [at, { kind, question }] of texts.entries()) {
    if (kind !== 'paraphrase') continue;
    const number = numbers.get(question) ?? question;
    numbers.set(question, number + 1);
    foldOf.set(at, number % folds);
  }
  return Array.from({ length: folds }, (_, fold) => ({
    left: places.filter((at) => foldOf.get(at) === fold),
    kept: places.filter((at) => foldOf.get(at) !== fold),
  })).filter(({ left }) => left.length > 0);
}

/** Ranks from 1. Equal ones share their mean rank. */
function rankOf(scores: Float64Array, own: number): number {
  const score = scores[own] as number;
  let [better, equal] = [0, 0];
  for (const other of scores) {
    if (other > score) better++;
    else if (other === score) equal++;
  }
  return better + (equal + 1) / 2;
}

function measure(asked: readonly Asked[]): Measures {
  const share = (isSo: (one: Asked) => boolean) => asked.filter(isSo).length / asked.length;
  const right = asked.filter(({ rank }) => rank === 1).map(({ score }) => score);
  right.sort((a, b) => a - b);
  const threshold = right[Math.floor(right.length * (1 - shareKept))] ?? 1;
  return {
    asked: asked.length,
    accuracyAt1: share(({ rank }) => rank <= 1),
    accuracyAt3: share(({ rank }) => rank <= 3),
    meanRank: asked.reduce((sum, { rank }) => sum + rank, 0) / asked.length,
    threshold,
    falseAnswers: share(({ scoreWithout }) => scoreWithout >= threshold),
  };
}
