// From training to a served answer. Scikit-learn is tried with each run of the tests. The other frameworks take gigabytes
// and minutes, so only `npm run test:exporters` tries them.

import { execFile } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { afterAll, describe, expect, test } from 'vitest';
import { root } from '../harness.js';
import { environmentOfTests, hasPython, requirements } from '../python.js';
import { writeFolder } from '../unit/sample-model.js';
import { formatParities, measureParity, type Parity, train } from './parity.js';

/** The file for the table, if all frameworks are to be tried. */
const table = process.env.SCORELINE_PARITY_TABLE;
const directory = writeFolder({});
const folder = path.join(directory, 'trained');
mkdirSync(folder);

afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Floats of 32 bits, summed up in another order; in ResNet-152, through as many layers. */
const differenceMax = (name: string) => (name.endsWith('resnet152') ? 1e-4 : 1e-5);

function expectParity(parities: readonly Parity[]): void {
  for (const { name, difference, otherBest } of parities) {
    expect({ name, difference, otherBest }).toEqual({
      name,
      difference: expect.closeTo(0, -Math.log10(2 * differenceMax(name))),
      otherBest: 0,
    });
  }
}

const differs = 'expected the ONNX file to answer as the original does';

/** What check_scikit_learn.py prints of a model. */
interface Checked {
  readonly refusal?: string;
  readonly said?: string;
  readonly inputs?: string[];
  readonly shapes?: number[][];
  readonly manifest?: unknown;
  /** The difference on rows of the training. */
  readonly apart?: number;
  /** Whether each of some rows has scores. */
  readonly answered?: boolean[];
  /** The share of those rows whose label by the thresholds is not that of predict(). */
  readonly otherLabels?: number;
}

async function checkSmallModels(): Promise<Record<string, Checked>> {
  const python = path.join(environmentOfTests(), 'bin/python');
  const program = path.join(root, 'test/exporters/check_scikit_learn.py');
  const { stdout } = await promisify(execFile)(python, [program, directory]);
  return JSON.parse(stdout);
}

describe.skipIf(!hasPython || table !== undefined)('scikit-learn (needs Python 3.11)', () => {
  test('answers as it was trained: texts, columns with gaps and categories, numbers on splits', async () => {
    const models = ['texts', 'phrases', 'words', 'columns', 'scaled', 'sparse'];
    expect(await train(requirements, 'train_scikit_learn.py', [folder, ...models])).toBe(0);
    const python = path.join(environmentOfTests(), 'bin/python');
    const parities = await measureParity(folder, python);
    const names = parities.map(({ name }) => name);
    expect(names).toEqual(models.map((name) => `scikit-learn-${name}`).toSorted());
    expectParity(parities);
    for (const { said } of parities) {
      expect(said).toContain('Reading it runs the code in it');
      expect(said).toMatch(/\n {2}example {4}.*, as expected\n/);
    }
  });

  test('becomes a network of the same answers, names and shapes, or is refused with a reason', async () => {
    const found = await checkSmallModels();
    const { groups, votes, ...others } = found;
    const refusals = {
      'rare categories': 'train without min_frequency and max_categories',
      'close neighbours': "got KNeighborsRegressor(weights='distance')",
      'calibrated trees': differs,
      'voting trees': differs,
      'voting trees of years': differs,
      'terms of letters': "expected a vectorizer with analyzer='word'",
      'terms within words': "got 'char_wb'. Train it again. It can be",
      'terms of a function': "got <method 'split' of 'str' objects>. Train it again. It can be",
      'a model beside its vectorizer': 'has builtins.dict. Save the model alone, or one pipeline',
      hashes: 'got a HashingVectorizer, which ONNX does not have',
      'capitals with a dot':
        'ONNX Runtime has another lower case of İ: lower the texts yourself, for the training',
      'imputed texts and numbers': 'expected texts as the categories of a_b; got [',
      'a package that is not here': 'Of CatBoost, add the file of model.save_model(',
      'XGBoost of categories beyond ASCII': 'add that file',
      'LightGBM of ordered categories': 'by model.booster_.save_model("model.txt"), and add',
      'LightGBM of categories, calibrated': 'the LGBMClassifier in a CalibratedClassifierCV was',
      'XGBoost that drops trees':
        'expected the booster gbtree, which has a counterpart in ONNX; got dart',
      'LightGBM where 0 is missing': 'it was trained with zero_as_missing',
      "a function of NumPy's that is not known": 'FunctionTransformer is not supported unless',
      'one class':
        "expected a classifier of two classes or more; Pipeline was trained with ['only']",
      'an unexpected exception': 'can be exported; RuntimeError: first line second line. It can be',
      'several labels': 'got those of OneVsRestClassifier, which can name several classes of a row',
      'None that is not imputed': 'The difference is largest where ä is null: the pipeline was tr',
      'marked gaps': 'got SimpleImputer(add_indicator=True), which adds columns. Leave',
      'marked gaps of columns': 'got SimpleImputer(add_indicator=True), which adds columns. Leave',
      'several classifiers': 'one answer; MultiOutputClassifier has 3 at once. Train one for each',
      'trees of several answers': 'one answer; RandomForestClassifier has 3 at once',
      'layers of two numbers': 'expected answers of the shape [400, 2]',
      'clusters without distances': 'got MeanShift, which only names a cluster. It can be',
      'columns of voters': 'only at the beginning of a pipeline; got one in or behind a Voting',
      'columns of a calibrated model': 'got one in or behind a CalibratedClassifierCV. Put',
      'columns in columns': 'got one in or behind another ColumnTransformer. Put',
      'a threshold of decision values': 'Train it again with response_method="predict_proba"',
      'a threshold of vectors': 'expected a threshold of probabilities; that of FixedThresholdCl',
      'steps at one float': 'expected a calibration of scores that floats tell apart; that of a',
      'a target of cubes': 'got the inverse function cbrt. It can be',
      'a target of quantiles': "got QuantileTransformer(n_quantiles=20, output_distribution='n",
      'neighbours fill gaps': 'got a KNNImputer, whose network ends ONNX Runtime',
      'neighbours fill columns': 'got a KNNImputer, whose network ends ONNX Runtime',
      'neighbours within a radius': 'within a radius. Train a KNeighborsClassifier',
      'scaled neighbours within a radius': 'within a radius. Train a KNeighborsRegressor',
      'native categories in a vote': 'Train it alone or as the last step of a pipeline',
      'targets in a vote': 'around the whole model; got one in a VotingRegressor. Put it around',
      'targets in bags': 'around the whole model; got one in a BaggingRegressor. Put it around',
      'steps without a converter': 'it has no converter for SplineTransformer. It can be',
      'texts in a matrix': 'OneHotEncoder was trained with categories. Encode them with',
    };
    for (const [name, reason] of Object.entries(refusals)) {
      expect({ name, refusal: others[name]?.refusal }).toEqual({
        name,
        refusal: expect.stringContaining(reason),
      });
      delete others[name];
    }
    const scored = Object.entries(others).filter(([, { apart }]) => apart !== undefined);
    expect(scored).toHaveLength(58);
    for (const [name, { apart }] of scored) {
      expect({ name, isClose: Number(apart) < 1e-4 }).toEqual({ name, isClose: true });
    }
    expect(groups?.refusal).toContain('expected a token_pattern without a group');
    expect(votes?.refusal).toContain('got VotingClassifier, which only names a class. Train it');
    const faults = Object.entries(others).filter(([name]) => name.startsWith('without '));
    expect(faults).toHaveLength(4);
    for (const [name, { refusal }] of faults) {
      expect({ name, refusal }).toEqual({
        name,
        refusal: expect.stringContaining(differs),
      });
      delete others[name];
    }
    expect(Object.keys(others).length).toBeGreaterThan(20);
    for (const [name, { said = '' }] of Object.entries(others)) {
      const [, rows, apart] = / on (\d+) sample rows: (\S+)/.exec(said) ?? [];
      const most = name === 'vectors far away' ? 1e-3 : 1e-5; // support vectors are floats
      expect({ name, rows: Number(rows) > 10, apart: Number(apart) < most }).toEqual({
        name,
        rows: true,
        apart: true,
      });
    }
    const outside = others['numbers outside of a logarithm']?.answered;
    expect(outside).toEqual([false, false, true]);
    const unknown = others['a text that trees have not seen'];
    expect(unknown?.answered).toEqual([true, true, false]);
    expect(others['columns of like names']?.inputs).toEqual(['a b', 'a_b', 'ä']);
    for (const [name, missing] of [
      ['missing texts of OneHotEncoder', '<missing>'],
      ['missing texts of OrdinalEncoder', '<missing>'],
      ['imputed texts, nan by most_frequent', '<missing>'],
      ['imputed texts, nan by constant', '<missing>'],
      ['imputed texts, None by most_frequent', '<missing>'],
      ['None of OneHotEncoder', '<missing>'],
      ['None of OrdinalEncoder', '<missing>'],
      ['imputed texts, ? by most_frequent', '?'],
    ] as const) {
      expect(others[name]?.manifest).toMatchObject({
        input: {
          columns: expect.arrayContaining([{ name: 'ä', datatype: 'category', missing }]),
        },
      });
    }
    expect(others.Booleans?.manifest).toMatchObject({
      input: { columns: [{ name: 'a b' }, { name: 'member', categories: [0, 1] }] },
    });
    expect(others['pairs of classes']?.manifest).toMatchObject({
      output: { activation: 'softmax' },
    });
    for (const name of [
      'several labels of 1',
      'several labels of 100',
      'several labels of larger numbers',
      'several labels of layers',
    ]) {
      expect(others[name]?.manifest).toMatchObject({
        output: { threshold: 0.5 },
        example: {
          expected: { label: expect.any(String), score: expect.toSatisfy((score) => score > 0.5) },
        },
      });
    }
    expect(others['labels that none has']?.manifest).not.toHaveProperty('example');
    const thresholds = Object.entries(others).filter(([name]) => name.startsWith('a threshold '));
    expect(thresholds).toHaveLength(4);
    for (const [name, { said, otherLabels, manifest }] of thresholds) {
      expect({ name, otherLabels }).toEqual({ name, otherLabels: 0 });
      expect(said).toContain('the labels are those of predict()');
      expect(manifest).toMatchObject({
        output: { threshold: [expect.any(Number), expect.any(Number)] },
      });
    }
    for (const [name, categories] of [
      ["XGBoost of pandas' categories", { categories: ['x', 'y'] }],
      ["LightGBM of pandas' categories", {}],
    ] as const) {
      const kind = { name: 'ä', datatype: 'category', missing: '<missing>', ...categories };
      expect(others[name]?.manifest).toMatchObject({
        input: { columns: expect.arrayContaining([kind]) },
      });
      expect(others[name]?.said).toContain('ä takes names of categories: x, y\n');
    }
    expect(others['trees of large numbers']?.manifest).toEqual({
      input: {
        kind: 'table',
        columns: ['a b', 'a_b'].map((name) => ({ name, datatype: 'number', missing: 'NaN' })),
      },
      output: { kind: 'regression' },
      example: {
        input: expect.any(Object),
        expected: {
          value: expect.any(Number),
          tolerance: expect.toSatisfy((tolerance) => tolerance < 1),
        },
      },
    });
    for (const [model, gaps] of [
      ['two numbers', { missing: 'NaN' }],
      ['clusters', {}],
    ] as const) {
      expect(others[model]?.manifest).toEqual({
        input: {
          kind: 'table',
          columns: ['a b', 'a_b'].map((name) => ({ name, datatype: 'number', ...gaps })),
        },
        output: { kind: 'tensors' },
      });
    }
    expect(others.quadratic?.shapes?.[0]).toEqual([-1]);
    expect(others['two numbers']?.shapes).toEqual([[-1, 2]]);
    expect(others.clusters?.shapes).toEqual([[-1], [-1, 3]]);
    expect(others.outliers?.said).toContain('below 0 for an outlier');
    expect(others.outliers?.manifest).toMatchObject({
      output: { kind: 'regression' },
      example: { expected: { value: expect.any(Number) } },
    });
    expect(others['sublinear counts']?.shapes).toEqual([[-1], [-1, 2]]);
  });
});

describe.skipIf(table === undefined)('every framework', () => {
  const frameworks = ['scikit-learn', 'lightgbm', 'xgboost', 'catboost', 'keras', 'pytorch'];
  test.each(frameworks)('trains models of %s', { timeout: 3_600_000 }, async (framework) => {
    const photographs = path.join(root, 'test/photographs/preprocessed');
    const program = `train_${framework.replaceAll('-', '_')}.py`;
    const parameters = /keras|pytorch/.test(framework) ? [folder, photographs] : [folder];
    const hasOwn = /catboost|keras|pytorch/.test(framework);
    const packages = `exporters/${hasOwn ? framework : 'scikit-learn'}.txt`;
    expect(await train(packages, program, parameters)).toBe(0);
    if (framework !== 'scikit-learn') {
      expect(await train(packages, `check_${framework}.py`, [directory])).toBe(0);
    }
  });

  test('exports, adds and serves them, and answers as they do', {
    timeout: 3_600_000,
  }, async () => {
    const parities = await measureParity(folder);
    writeFileSync(table as string, `${formatParities(parities)}\n`);
    expectParity(parities);
  });
});
