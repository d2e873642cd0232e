import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { makeLogger } from '../../shared/process/log.js';
import { logLeftOut } from '../../shared/registry/left-out.js';
import { collectModels, findModel, readModels } from '../../shared/registry/models.js';
import { packageDirectory } from '../../shared/version.js';
import { errorOf, makeFolder, sampleLabels, sampleManifest } from './sample-model.js';

const urls = ['https://example.org/model.onnx'];
const { source } = sampleManifest;

/** Makes a folder with the models a and b, and with c, whose model file is missing. */
function makeModels(): string {
  const withName = (name: string) => ({ ...sampleManifest, name });
  return makeFolder({
    'a/model.yaml': withName('a'),
    'a/labels.txt': sampleLabels,
    'a/model.onnx': 'onnx',
    'b/model.yaml': withName('b'),
    'b/labels.txt': sampleLabels,
    'b/model.onnx': 'onnx',
    'c/model.yaml': { ...withName('c'), source: { ...source, urls } },
    'c/labels.txt': sampleLabels,
  });
}

const namesOf = (models: readonly { name: string }[]) => models.map(({ name }) => name);

describe('the models that are served', () => {
  test('are all models with a file, if none is named', () => {
    const directory = makeModels();
    expect(namesOf(readModels({ directory, filesNeeded: true }))).toEqual(['a', 'b']);
    expect(namesOf(readModels({ directory, filesNeeded: false }))).toEqual(['a', 'b']);
  });

  test('are the named ones, in their order', () => {
    const directory = makeModels();
    const models = readModels({ directory, names: ['b', 'a'], filesNeeded: true });
    expect(namesOf(models)).toEqual(['b', 'a']);
  });

  test('may be named by their queues', () => {
    const directory = makeModels();
    const [a, b] = readModels({ directory, filesNeeded: true });
    const names = [b?.queue as string, 'a'];
    const models = readModels({ directory, names, filesNeeded: true });
    expect(models.map(({ queue }) => queue)).toEqual([b?.queue, a?.queue]);
  });

  test('include a named one without its file, for a process that does not load it', () => {
    const directory = makeModels();
    expect(namesOf(readModels({ directory, names: ['c'], filesNeeded: false }))).toEqual(['c']);
  });

  test('may not be none, and the error says how to list the models', () => {
    const directory = makeFolder({
      'a/model.yaml': { ...sampleManifest, name: 'a', source: { ...source, urls } },
      'a/labels.txt': sampleLabels,
    });
    const error = errorOf(() => collectModels({ directory, filesNeeded: false }));
    expect(error.code).toBe('model_file_missing');
    expect(error.message).toContain(directory);
    expect(error.message).toContain('npm run models -- list');
  });
});

describe('a model that cannot be served', () => {
  test.each(['a@1~00000000', 'a@2~00000000', 'a@1'])(
    'is refused if its queue is expected to be %s, with both queues and what to do',
    (name) => {
      const directory = makeModels();
      const [a] = readModels({ directory, filesNeeded: true });
      const error = errorOf(() => readModels({ directory, names: [name], filesNeeded: false }));
      expect(error.code).toBe('configuration_invalid');
      expect(error.message).toContain(
        `expected the model whose queue is ${name}; ${directory} has ${a?.queue}`,
      );
      expect(error.message).toContain('same checkout');
    },
  );

  /** Makes the models a, b and c, and more that are wrong, each in another way. */
  function addWrong(directory: string): void {
    const add = (name: string, file: string, content: string) => {
      mkdirSync(path.join(directory, name), { recursive: true });
      writeFileSync(path.join(directory, name, file), content);
    };
    const manifest = (name: string) => JSON.stringify({ ...sampleManifest, name });
    const half = path.join(packageDirectory(), 'test/cases/half-model.yaml');
    add('half', 'model.yaml', readFileSync(half, 'utf8'));
    add('cut', 'model.yaml', manifest('cut').slice(0, 100));
    add('empty', 'model.yaml', '');
    add('misnamed', 'model.yml', manifest('misnamed'));
    add('unlabelled', 'model.yaml', manifest('unlabelled'));
    add('fileless', 'model.yaml', manifest('fileless'));
    add('fileless', 'labels.txt', sampleLabels);
  }
  const codes = {
    cut: 'manifest_invalid',
    empty: 'manifest_invalid',
    fileless: 'model_file_missing',
    half: 'manifest_invalid',
    misnamed: 'manifest_invalid',
    unlabelled: 'manifest_invalid',
  };

  test.each([true, false])(
    'is left out with its reason, and the others are served (files needed: %s)',
    (filesNeeded) => {
      const directory = makeModels();
      addWrong(directory);
      const { models, leftOut } = collectModels({ directory, filesNeeded });
      expect(namesOf(models)).toEqual(['a', 'b']);
      expect(Object.fromEntries(leftOut.map(({ name, error }) => [name, error.code]))).toEqual(
        codes,
      );
      for (const { name, error } of leftOut) expect(error.message).toContain(name);
    },
  );

  test('is left out only if it is named, where others are named', () => {
    const directory = makeModels();
    addWrong(directory);
    const choose = (...names: string[]) => collectModels({ directory, names, filesNeeded: true });
    expect(choose('b')).toMatchObject({ models: [{ name: 'b' }], leftOut: [] });
    const { models, leftOut } = choose('half', 'c', 'a', 'gone');
    expect(namesOf(models)).toEqual(['a']);
    expect(leftOut.map(({ name, error }) => [name, error.code])).toEqual([
      ['half', 'manifest_invalid'],
      ['c', 'model_file_missing'],
      ['gone', 'model_not_found'],
    ]);
  });

  test('stops the service if no other is left, with the reasons of all', () => {
    const directory = makeModels();
    addWrong(directory);
    const choose = (...names: string[]) =>
      errorOf(() => collectModels({ directory, names, filesNeeded: true }));
    expect(choose('half').message).toMatch(/^\S*half\/model\.yaml: source: /);
    const both = choose('half', 'fileless');
    expect(both.code).toBe('manifest_invalid');
    expect(both.message).toContain('half/model.yaml: source: ');
    expect(both.message).toContain('fileless: expected the file ');
  });

  test('is left out if its external data is missing', () => {
    const externalData = [{ file: 'weights.bin', bytes: 4, sha256: 'b'.repeat(64) }];
    const directory = makeModels();
    const manifest = { ...sampleManifest, name: 'a', source: { ...source, externalData } };
    writeFileSync(path.join(directory, 'a', 'model.yaml'), JSON.stringify(manifest));
    const { models, leftOut } = collectModels({ directory, filesNeeded: true });
    expect(namesOf(models)).toEqual(['b']);
    expect(leftOut[0]?.error.message).toContain(path.join(directory, 'a', 'weights.bin'));
  });

  test('is served if only its traffic.yaml is wrong, which the log says', () => {
    const directory = makeModels();
    writeFileSync(path.join(directory, 'a', 'traffic.yaml'), 'weights: { 7: 100 }');
    const { models, leftOut } = collectModels({ directory, names: ['a', 'c'], filesNeeded: true });
    expect(namesOf(models)).toEqual(['a']);
    const lines: string[] = [];
    const send = (line: string) => lines.push(JSON.parse(line).msg);
    logLeftOut(makeLogger({ role: 'test', level: 'error', send }), leftOut);
    expect(lines).toEqual(['the traffic of a model cannot be read', 'a model is left out']);
  });

  test('is refused with the existing names if its name is unknown', () => {
    const directory = makeModels();
    const error = errorOf(() => readModels({ directory, names: ['a', 'x'], filesNeeded: false }));
    expect(error.code).toBe('model_not_found');
    expect(error.message).toBe('There is no model "x". The models here: a, b, c.');
  });

  test('is refused with some of many names', () => {
    const models = Array.from({ length: 2000 }, (_, at) => ({ name: `m${at}`, version: '1' }));
    const { message } = errorOf(() => findModel(models, 'x'));
    expect(message).toMatch(
      /^There is no model "x"\. The models here: m0, .*, m19 and 1980 more\.$/,
    );
  });

  test('is refused with the path of its missing file and the command that gets it', () => {
    const directory = makeModels();
    const error = errorOf(() => readModels({ directory, names: ['a', 'c'], filesNeeded: true }));
    expect(error.code).toBe('model_file_missing');
    expect(error.message).toContain(path.join(directory, 'c', 'model.onnx'));
    expect(error.message).toContain('npm run models -- pull c');
  });

  test('is refused with only the path of its missing file if no address is known', () => {
    const directory = makeFolder({
      'a/model.yaml': { ...sampleManifest, name: 'a' },
      'a/labels.txt': sampleLabels,
    });
    const error = errorOf(() => readModels({ directory, names: ['a'], filesNeeded: true }));
    expect(error.message).toContain('Put it there.');
    expect(error.message).not.toContain('pull');
  });
});

describe('a model that is served', () => {
  test('has a queue that is named after it and its version', () => {
    const [model] = readModels({ directory: makeModels(), names: ['a'], filesNeeded: true });
    expect(model).toMatchObject({
      name: 'a',
      version: '1',
      queue: expect.stringMatching(/^a@1~[0-9a-f]{8}$/),
    });
  });

  const outputs = { again: { kind: 'classification', labels: 'more.txt', threshold: 0.05 } };
  const tokenizer = { file: 'tokenizer.json', bytes: 1, sha256: 'b'.repeat(64) };
  const queueOf = (changes: object, files: Record<string, string> = {}) => {
    const directory = makeFolder({
      'sample/model.yaml': { ...sampleManifest, outputs, ...changes },
      'sample/labels.txt': sampleLabels,
      'sample/more.txt': sampleLabels,
      ...files,
    });
    return readModels({ directory, names: ['sample'], filesNeeded: false })[0]?.queue;
  };

  test.each([
    ['the activation', { output: { ...sampleManifest.output, activation: 'sigmoid' } }],
    ['the best classes', { output: { ...sampleManifest.output, top: 1 } }],
    ['what is done to the input', { input: { kind: 'text', normalise: 'nfkc-quotes' } }],
    ['a further output', { outputs: { again: { ...outputs.again, threshold: 0.5 } } }],
    ['the tokenizer', { source: { ...source, tokenizer }, input: { kind: 'text', tokensMax: 9 } }],
    ['how labels are read', { example: { input: 'hello', expected: { label: 'n01 cat' } } }],
    ['the labels of a further output', {}, { 'sample/more.txt': `${sampleLabels}n06 elk\n` }],
  ])('has another queue with another value of %s', (_what, changes, files?: object) => {
    expect(queueOf(changes, { ...files })).not.toBe(queueOf({}));
  });
});

test('findModel finds a model by name, in a list of anything with a name', () => {
  const models = [
    { name: 'a', version: '1' },
    { name: 'b', version: '1' },
  ];
  expect(findModel(models, 'b')).toBe(models[1]);
  expect(errorOf(() => findModel(models, 'A')).code).toBe('model_not_found');
});
