// Tests models of tables from the row to the scores: those of the tests, which scikit-learn's exporter
// made in each of its layouts (test/tables/export.py), and the included one.

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { load } from 'js-yaml';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Ending } from '../../api/call/ending.js';
import { readValue } from '../../api/kinds/regression.js';
import { table } from '../../api/kinds/table.js';
import { makeLogger } from '../../shared/process/log.js';
import { findModel, type Model, readModels } from '../../shared/registry/models.js';
import { mapScores } from '../../shared/tensors/scores.js';
import type { Tensor } from '../../shared/tensors/tensors.js';
import { openScorer } from '../../worker/batch/scorer.js';
import { checkIn } from '../check-model.js';
import { readModel, root } from '../harness.js';
import { makeFolder } from '../unit/sample-model.js';

type Row = Record<string, unknown>;
const directory = path.join(root, 'test/tables');
const log = makeLogger({ role: 'test', level: 'silent' });

/** Scores rows in full batches, as the API sends them and the worker runs them. */
async function scoreAll(model: Model, rows: readonly Row[]): Promise<(readonly Tensor[])[]> {
  const scorer = await openScorer(model, log);
  onTestFinished(() => scorer.close());
  const items = rows.map((value) => ({
    inputs: table.prepare({ name: 'row', value }, model, new Ending()) as readonly Tensor[],
    top: model.labels.length > 0 ? model.labels.length : undefined,
  }));
  const all: (readonly Tensor[])[] = [];
  const { max } = model.manifest.batch;
  for (let from = 0; from < items.length; from += max) {
    for (const result of (await scorer.score(items.slice(from, from + max))).results) {
      if ('error' in result) throw new Error(result.error.detail);
      all.push(result.outputs);
    }
  }
  return all;
}

function scoresByLabel(model: Model, outputs: readonly Tensor[]): Record<string, number> {
  return Object.fromEntries(
    mapScores(outputs, (index, score) => [String(model.labels[index]?.text), score]),
  );
}

describe('a table that scikit-learn exported', () => {
  const models = readModels({ directory, filesNeeded: true });
  const expected = JSON.parse(readFileSync(path.join(directory, 'expected.json'), 'utf8'));

  test.each(['voyages', 'orders'])('is scored as scikit-learn does: %s', async (name) => {
    const model = findModel(models, name);
    const cases: { row: Row; answer: Record<string, number> }[] = expected[name];
    const scored = await scoreAll(
      model,
      cases.map(({ row }) => row),
    );
    expect(scored).toHaveLength(20);
    for (const [at, { answer }] of cases.entries()) {
      const scores = scoresByLabel(model, scored[at] as readonly Tensor[]);
      expect(Object.keys(scores).sort()).toEqual(Object.keys(answer).sort());
      for (const [label, score] of Object.entries(answer)) {
        expect(Math.abs((scores[label] as number) - score)).toBeLessThan(1e-5);
      }
    }
  });

  test('is answered with the number of a regression', async () => {
    const model = findModel(models, 'houses');
    const cases: { row: Row; answer: number }[] = expected.houses;
    const scored = await scoreAll(
      model,
      cases.map(({ row }) => row),
    );
    for (const [at, { answer }] of cases.entries()) {
      expect(Math.abs(readValue(scored[at] as readonly Tensor[]) - answer)).toBeLessThan(1e-3);
    }
  });

  test('takes a column that is left out, null, or what the manifest names, as missing', async () => {
    const model = findModel(models, 'voyages');
    const [whole] = expected.voyages as [{ row: Row }];
    const { 'age (years)': _age, harbour: _harbour, ...known } = whole.row;
    const [absent, nothing, named] = await scoreAll(model, [
      known,
      { ...known, 'age (years)': null, harbour: null },
      { ...known, 'age (years)': null, harbour: '' },
    ]);
    expect(nothing).toEqual(absent);
    expect(named).toEqual(absent);
  });

  test('takes true and false as the numbers 1 and 0, and not as texts', async () => {
    const houses = findModel(models, 'houses');
    const house = { rooms: 1, area: 120, year: 0 };
    const [numbers, flags] = await scoreAll(houses, [
      house,
      { ...house, rooms: true, year: false },
    ]);
    expect(flags).toEqual(numbers);
    const voyages = findModel(models, 'voyages');
    const [{ row }] = expected.voyages as [{ row: Row }];
    await expect(scoreAll(voyages, [{ ...row, harbour: true }])).rejects.toThrow(
      'Expected the column "harbour" to be a text; got true.',
    );
  });
});

describe('the check of a table', () => {
  const checkWith = async (name: string, changes: Record<string, unknown>) => {
    const folder = path.join(directory, name);
    const manifest = load(readFileSync(path.join(folder, 'model.yaml'), 'utf8')) as Row;
    const copy = makeFolder({
      [`${name}/model.onnx`]: readFileSync(path.join(folder, 'model.onnx')),
      [`${name}/labels.txt`]: 'early\nlate',
      [`${name}/model.yaml`]: { ...manifest, ...changes },
    });
    return checkIn(copy, name);
  };
  const house = { rooms: 4, area: 120, year: 1990 };
  const order = { weight: 2, pieces: 3, country: 'PL', carrier: 'rail' };

  test('compares the example with a number', async () => {
    const example = (value: number) => ({ example: { input: house, expected: { value } } });
    const lines = await checkWith('houses', example(0)).catch((thrown) => thrown.message);
    expect(lines).toMatch(/^houses: example: expected 0 ± 0\.001; got \d+\.\d+$/);
    const got = Number(/[\d.]+$/.exec(lines)?.[0]);
    expect((await checkWith('houses', example(got))).at(-1)).toContain('as expected');
  });

  test('prints the network if the manifest does not declare it', async () => {
    await expect(checkWith('voyages', { network: undefined })).rejects.toThrow(
      'network: { inputs: [{ name: "age__years_", datatype: FP32, shape: [-1, 1] }, { name: "class", datatype: INT64, shape: [-1, 1] },',
    );
  });

  test('refuses an example that is no row of the table', async () => {
    const example = { input: { ...house, rooms: '4' }, expected: { value: 1 } };
    await expect(checkWith('houses', { example })).rejects.toThrow(
      'houses: example.input: Expected the column "rooms" to be a number',
    );
  });

  test('refuses a regression whose network answers with several numbers', async () => {
    await expect(checkWith('voyages', { output: { kind: 'regression' } })).rejects.toThrow(
      'voyages: output.kind: expected an output of floats with one number for each row, since its output is a regression; got probabilities: float32[',
    );
  });

  test('warms up by the example, or says that it could not', async () => {
    const without = await checkWith('orders', {});
    expect(without.join('\n')).toMatch(
      /warning .*Unknown Category.* Give its manifest an example\./,
    );
    const example = { input: order, expected: { label: 'late' } };
    const lines = await checkWith('orders', { example }).catch((thrown) => [thrown.message]);
    expect(lines.join('\n')).not.toContain('warning');
  });
});

describe('the breast-cancer model', () => {
  const folder = path.join(root, 'models/breast-cancer');
  const model = readModel('breast-cancer');
  const heldOut: { row: Row; class: number; probabilities: number[] }[] = gunzipSync(
    readFileSync(path.join(folder, 'held-out.jsonl.gz')),
  )
    .toString()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

  test('agrees with scikit-learn within 1e-5, and is as accurate as metrics.json states', async () => {
    const metrics = JSON.parse(readFileSync(path.join(folder, 'metrics.json'), 'utf8'));
    expect(heldOut).toHaveLength(metrics.test);
    const scored = await scoreAll(
      model,
      heldOut.map(({ row }) => row),
    );
    let right = 0;
    for (const [at, { class: truth, probabilities }] of heldOut.entries()) {
      const scores = scoresByLabel(model, scored[at] as readonly Tensor[]);
      const served = model.labels.map(({ text }) => scores[text] as number);
      for (const [label, probability] of probabilities.entries()) {
        expect(Math.abs((served[label] as number) - probability)).toBeLessThan(1e-5);
      }
      if (served[truth] === Math.max(...served)) right++;
    }
    expect(right / heldOut.length).toBeCloseTo(metrics.pipeline.accuracy, 3);
    expect(metrics.pipeline.accuracy).toBeGreaterThan(metrics.singleColumn.accuracy);
    expect(metrics.singleColumn.accuracy).toBeGreaterThan(metrics.mostFrequent.accuracy);
  });
});
