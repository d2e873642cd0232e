import { readFileSync } from 'node:fs';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { normaliseText } from '../../api/kinds/normalise.js';
import { makeLogger } from '../../shared/process/log.js';
import { mapScores } from '../../shared/tensors/scores.js';
import { textInputs } from '../../worker/batch/inputs/sample.js';
import { openScorer, type Scorer } from '../../worker/batch/scorer.js';
import { readModel, root } from '../harness.js';

interface HeldOut {
  readonly id: number;
  readonly text: string;
  readonly class: number;
  readonly probabilities: readonly number[];
}

const folder = path.join(root, 'models/faq-matcher');
const heldOut: HeldOut[] = gunzipSync(readFileSync(path.join(folder, 'held-out.jsonl.gz')))
  .toString()
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line));
const model = readModel('faq-matcher');
let scorer: Scorer;

beforeAll(async () => {
  scorer = await openScorer(model, makeLogger({ role: 'test', level: 'silent' }));
});
afterAll(() => scorer.close());

/** Returns the probabilities of each text by class, scored by the worker's code in full batches. */
async function scoreAll(texts: readonly string[]): Promise<number[][]> {
  const all: number[][] = [];
  const { max } = model.manifest.batch;
  for (let from = 0; from < texts.length; from += max) {
    const batch = texts
      .slice(from, from + max)
      .map((text) => ({ inputs: textInputs(text), top: model.labels.length }));
    const { results } = await scorer.score(batch);
    for (const result of results) {
      if ('error' in result) throw new Error(result.error.detail);
      const row: number[] = [];
      mapScores(result.outputs, (index, score) => {
        row[index] = score;
      });
      all.push(row);
    }
  }
  return all;
}

/** Rewrites a text as phones do: quotes open after a space or a bracket, and close elsewhere. */
function asPhonesType(text: string): string {
  return text
    .replace(/(?<=^|[\s([{])"/g, '“')
    .replaceAll('"', '”')
    .replace(/(?<=^|[\s([{“])'/g, '‘')
    .replaceAll("'", '’')
    .replaceAll('--', '—')
    .replaceAll('...', '…');
}

function best(row: readonly number[]): number {
  return row.indexOf(Math.max(...row));
}

describe('the FAQ matcher', () => {
  test('agrees with scikit-learn within 1e-5 on the whole held-out set', async () => {
    expect(heldOut.length).toBeGreaterThan(400);
    const scores = await scoreAll(heldOut.map((item) => item.text));
    let worst = 0;
    for (const [index, item] of heldOut.entries()) {
      for (const [label, probability] of item.probabilities.entries()) {
        worst = Math.max(worst, Math.abs((scores[index]?.[label] as number) - probability));
      }
    }
    expect(worst).toBeLessThan(1e-5);
  });

  test('has the accuracy stated in metrics.json', async () => {
    const metrics = JSON.parse(readFileSync(path.join(folder, 'metrics.json'), 'utf8'));
    const scores = await scoreAll(heldOut.map((item) => item.text));
    const right = heldOut.filter((item, index) => {
      const row = scores[index] as number[];
      return row[item.class] === Math.max(...row);
    });
    expect(right.length / heldOut.length).toBeCloseTo(metrics.corpus.pipeline.accuracyAt1, 3);
  });

  test('answers a text with typographic punctuation like the text as typed', async () => {
    const typed = heldOut.map((item) => item.text);
    expect(typed.map(normaliseText)).toEqual(typed);
    const arrived = typed.map(asPhonesType).filter((text, index) => text !== typed[index]);
    expect(arrived.length).toBeGreaterThan(200);
    const before = (await scoreAll(typed)).filter((_, index) => {
      const text = typed[index] as string;
      return asPhonesType(text) !== text;
    });
    const raw = await scoreAll(arrived);
    const normalised = await scoreAll(arrived.map(normaliseText));
    const differ = (rows: number[][]) =>
      rows.filter((row, index) => best(row) !== best(before[index] as number[])).length;
    expect(differ(raw)).toBeGreaterThan(5);
    expect(differ(normalised)).toBe(0);
  });

  test('beats the reference on the same split, and reaches its goal on Banking77', () => {
    const metrics = JSON.parse(readFileSync(path.join(folder, 'metrics.json'), 'utf8'));
    for (const block of [metrics.corpus, metrics.banking77]) {
      expect(block.pipeline.accuracyAt1).toBeGreaterThan(block.referenceMethod.accuracyAt1 + 0.05);
    }
    expect(metrics.banking77.pipeline.accuracyAt1).toBeGreaterThanOrEqual(0.85);
  });

  test('gives probabilities for any text', async () => {
    const texts = ['?', '😀', 'ÀÉ', '\n\t', 'a'.repeat(20_000), 'var '.repeat(5000), '$', '\u202E'];
    for (const row of await scoreAll(texts)) {
      expect(row).toHaveLength(model.labels.length);
      expect(row.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 4);
    }
  });

  test('gives a text the same scores alone and in a batch', async () => {
    const texts = heldOut.slice(0, 20).map((item) => item.text);
    const together = await scoreAll(texts);
    for (const [index, text] of texts.entries()) {
      const [alone] = await scoreAll([text]);
      for (const [label, score] of (alone as number[]).entries()) {
        // The two runs sum some hundred float32 terms in different orders.
        expect(Math.abs(score - (together[index]?.[label] as number))).toBeLessThan(1e-5);
      }
    }
  });

  test('has at least 120 questions, each with an answer and at least 8 duplicates', () => {
    const rows = (name: string) =>
      readFileSync(path.join(folder, 'data', name), 'utf8')
        .trim()
        .split('\n')
        .map((line) => line.split('\t'));
    const answers = new Map(rows('ans.tsv').map(([id, text]) => [id, text]));
    const originals = rows('orig-q.tsv');
    expect(originals.length).toBeGreaterThanOrEqual(120);
    const duplicates = rows('dup-q.tsv');
    for (const [, answerId] of originals) {
      expect(answers.get(answerId)?.length).toBeGreaterThan(100);
      expect(duplicates.filter((row) => row[1] === answerId).length).toBeGreaterThanOrEqual(8);
    }
  });
});
