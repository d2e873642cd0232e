import { describe, expect, test } from 'vitest';
import { type FoundLabels, trimmedName, writeLabels } from '../../cli/models/adding/labels.js';
import { readLabels } from '../../shared/manifest/labels.js';
import { manifestSchema } from '../../shared/manifest/manifest.js';
import { errorOf, makeFolder, sampleManifest } from './sample-model.js';

const ofNetwork = (...names: string[]): FoundLabels => ({
  names,
  source: 'the metadata of model.onnx',
  mayHaveIds: false,
});

/** Writes labels as `models add` does, and reads them as API and worker do. */
function roundTrip(found: FoundLabels) {
  const folder = makeFolder({ 'labels.txt': writeLabels(found) });
  return readLabels(folder, manifestSchema.parse({ ...sampleManifest, example: undefined }));
}

describe('the names of classes that a program wrote', () => {
  test.each([
    [['18-25 years', '26-35 years', '36-50 years']],
    [['1st class', '2nd class']],
    [['n01 cat', 'n02 dog, hound']],
    [['0', '1', '2']],
    [['cat', 'tiger cat']],
    [['two  blanks', 'a\ttab', 'grün']],
    [['\ufeffcat', 'cat', 'a\ufeff', '\ufeff1 \ufeff']],
  ])('are read back as they were: %j', (names) => {
    expect(roundTrip(ofNetwork(...names))).toEqual(
      names.map((text, at) => ({ id: String(at), text })),
    );
  });

  test('lose the blanks around them, which can be said', () => {
    const found = ofNetwork('cat', ' lead', 'trail ');
    expect(roundTrip(found).map(({ text }) => text)).toEqual(['cat', 'lead', 'trail']);
    expect(trimmedName(found)).toBe(' lead');
    expect(trimmedName(ofNetwork('cat'))).toBeUndefined();
  });

  test.each(['', ' ', 'a\nb', 'a\rb', 'a\u2028b'])(
    'are refused if they do not fit into a line: %j',
    (name) => {
      const error = errorOf(() => writeLabels(ofNetwork('cat', name)));
      expect(error.code).toBe('model_file_wrong');
      expect(error.message).toContain(`got ${JSON.stringify(name)} from the metadata`);
    },
  );
});

test('the lines of a file may begin with ids', () => {
  const found = { names: ['n01 cat', 'n02 dog'], source: 'labels.txt', mayHaveIds: true };
  expect(roundTrip(found)).toEqual([
    { id: 'n01', text: 'cat' },
    { id: 'n02', text: 'dog' },
  ]);
});

// Each would take minutes if every name were compared with every other, or if a pattern began anew at each character.
test.each([
  ['many', Array.from({ length: 200_000 }, (_, at) => `class-${at}`)],
  ['of digits', ['1'.repeat(1_000_000), 'cat']],
])('names are written at once, also %s', (_, names) => {
  const found = { names, source: 'labels.txt', mayHaveIds: true };
  expect(writeLabels(found)).toBe(names.map((name, at) => `${at} ${name}\n`).join(''));
});

test('two names that become one are refused', () => {
  const error = errorOf(() => writeLabels(ofNetwork('owl', 'cat', 'dog', 'cat ')));
  expect(error.message).toContain('got several of "cat" from the metadata of model.onnx');
});
