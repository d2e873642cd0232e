import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { findModel, readModels } from '../../shared/models.js';
import { errorOf, makeFolder, sampleLabels, sampleManifest } from './sample-model.js';

const urls = ['https://example.org/model.onnx'];
const { source, output } = sampleManifest;

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
      'a/model.yaml': { ...sampleManifest, name: 'a' },
      'a/labels.txt': sampleLabels,
    });
    const error = errorOf(() => readModels({ directory, filesNeeded: false }));
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

  test('is refused with the existing names if its name is unknown', () => {
    const directory = makeModels();
    const error = errorOf(() => readModels({ directory, names: ['a', 'x'], filesNeeded: false }));
    expect(error.code).toBe('model_not_found');
    expect(error.message).toBe('There is no model "x". The models here: a, b, c.');
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

  test('reads its classes from lines of id, blank and label', () => {
    const [model] = readModels({ directory: makeModels(), names: ['a'], filesNeeded: true });
    expect(model?.labels).toEqual([
      { id: 'n01', text: 'cat' },
      { id: 'n02', text: 'dog, hound' },
      { id: 'n03', text: 'owl' },
      { id: 'n04', text: 'fox' },
      { id: 'n05', text: 'hare' },
    ]);
  });

  test('reads the questions of a ranking with their answers', () => {
    const question = { id: 11, answerId: 12, question: 'How?', answer: 'So.' };
    const [model] = readModels({
      directory: makeRanking([question]),
      names: ['sample'],
      filesNeeded: false,
    });
    expect(model?.labels).toEqual([{ id: 11, answerId: 12, text: 'How?', answer: 'So.' }]);
  });
});

/** Makes a folder with one ranking model and this file of questions. */
function makeRanking(questions: unknown): string {
  return makeFolder({
    'sample/model.yaml': {
      ...sampleManifest,
      output: { ...output, kind: 'ranking', labels: 'questions.json' },
    },
    'sample/questions.json': questions,
  });
}

describe('an invalid label file', () => {
  const cases: { what: string; questions: unknown }[] = [
    { what: 'not JSON', questions: 'id,answer\n' },
    { what: 'an empty list', questions: [] },
    { what: 'an object', questions: {} },
    { what: 'without answers', questions: [{ id: 1, answerId: 2, question: 'How?' }] },
    {
      what: 'with ids that are texts',
      questions: [{ id: '1', answerId: 2, question: 'How?', answer: 'So.' }],
    },
  ];
  test.each(cases)('is refused, for a ranking, when it is $what', ({ questions }) => {
    const directory = makeRanking(questions);
    const error = errorOf(() => readModels({ directory, names: ['sample'], filesNeeded: false }));
    expect(error.code).toBe('manifest_invalid');
    expect(error.message).toContain(
      'sample: output.labels: expected a JSON array of {id, answerId',
    );
    expect(error.message).toContain(path.join(directory, 'sample', 'questions.json'));
  });

  test('is refused, for a classification, when it is missing', () => {
    const directory = makeFolder({ 'sample/model.yaml': sampleManifest });
    const error = errorOf(() => readModels({ directory, names: ['sample'], filesNeeded: false }));
    expect(error.code).toBe('manifest_invalid');
    expect(error.message).toContain('sample: output.labels: expected a text file with one line');
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
