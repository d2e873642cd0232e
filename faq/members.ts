// The texts of an FAQ by their embeddings.

import type { Entry } from './entries.js';

export interface Members {
  readonly dimension: number;
  /** The embeddings, one after the other. Each has length 1. */
  readonly vectors: Float32Array;
  /** Of each text, the question that it belongs to. */
  readonly questions: readonly number[];
}

/** A text of an FAQ, and what it is there. */
export interface MemberText {
  readonly text: string;
  readonly question: number;
  readonly kind: 'question' | 'answer' | 'paraphrase';
}

/** Lists the texts of an FAQ. */
export function listTexts(entries: readonly Entry[]): MemberText[] {
  return entries.flatMap(({ question, answer, paraphrases }, at) => [
    { text: question, question: at, kind: 'question' },
    { text: answer, question: at, kind: 'answer' },
    ...paraphrases.map((text) => ({ text, question: at, kind: 'paraphrase' as const })),
  ]);
}

/** Returns those members whose places are given. */
export function pickMembers(
  { dimension, vectors, questions }: Members,
  places: readonly number[],
): Members {
  const picked = new Float32Array(places.length * dimension);
  for (const [at, place] of places.entries())
    picked.set(vectorAt(vectors, dimension, place), at * dimension);
  return {
    dimension,
    vectors: picked,
    questions: places.map((place) => questions[place] as number),
  };
}

/**
 * Lists the pairs of questions that have the same embedding, one by its question and one by a paraphrase, for example:
 * the model takes their words for the same, or knows none of them. Neither can be told from the other.
 */
export function listTwins(
  members: Members,
  texts: readonly MemberText[],
): [MemberText, MemberText][] {
  const first = new Map<string, MemberText>();
  return texts.flatMap((text, at): [MemberText, MemberText][] => {
    if (text.kind === 'answer') return [];
    const key = vectorAt(members.vectors, members.dimension, at).join();
    const known = first.get(key) ?? text;
    first.set(key, known);
    return known.question === text.question ? [] : [[known, text]];
  });
}

export function vectorAt(vectors: Float32Array, dimension: number, at: number): Float32Array {
  return vectors.subarray(at * dimension, (at + 1) * dimension);
}

/** The product of a vector with one of many, which begins at `from`. */
export function product(one: Float32Array, many: Float32Array, from: number): number {
  let sum = 0;
  for (let at = 0; at < one.length; at++) sum += (one[at] as number) * (many[from + at] as number);
  return sum;
}
