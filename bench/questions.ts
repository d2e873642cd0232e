// The questions that the text benchmarks send: all the duplicates in the FAQ matcher's corpus.

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { packageDirectory } from '../shared/version.js';

export function readQuestions(): string[] {
  const file = path.join(packageDirectory(), 'models/faq-matcher/data/dup-q.tsv');
  return readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.split('\t')[2] as string);
}

/** Returns the bodies of requests that ask them. */
export function readQuestionBodies(): string[] {
  return readQuestions().map((input) => JSON.stringify({ input }));
}
