import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Label, readLabels } from '../../shared/manifest/labels.js';
import { type Manifest, manifestSchema } from '../../shared/manifest/manifest.js';
import { errorOf, makeFolder, sampleManifest } from './sample-model.js';

const { output } = sampleManifest;

function manifestWith(changes: Record<string, unknown>): Manifest {
  return manifestSchema.parse({ ...sampleManifest, ...changes });
}

/** Reads a file of labels of a classification, whose example expects this label. */
function read(text: string | Buffer, expected?: string): readonly Label[] {
  const example = expected && { input: 'x', expected: { label: expected } };
  const folder = makeFolder({ 'labels.txt': text });
  return readLabels(folder, manifestWith({ example }));
}

describe('the labels of a classification', () => {
  test('are lines of an id, a blank and a label', () => {
    expect(read('n01 cat\nn02 dog, hound\nn03 owl\n')).toEqual([
      { id: 'n01', text: 'cat' },
      { id: 'n02', text: 'dog, hound' },
      { id: 'n03', text: 'owl' },
    ]);
  });

  test.each([
    ['single words', 'cat\ndog\nowl'],
    ['one of several words', 'cat\ndog hound\nowl'],
    ['several words each', 'credit card\nbank account\n'],
    ['words that begin alike', 'how to sort\nhow to copy\n'],
    ['numbers that begin alike', '7 days\n7 nights\n'],
    ['a number in front of some', '3 idiots\nAlien\n12 monkeys\nBrazil\n'],
  ])('can be labels alone, whose ids are their indexes: %s', (_what, text) => {
    const lines = text.trim().split('\n');
    expect(read(text)).toEqual(lines.map((line, index) => ({ id: index, text: line })));
  });

  test.each([
    [undefined, ['en English', 'de German']],
    ['de German', ['en English', 'de German']],
    ['German', ['English', 'German']],
  ])('that could be either are read as the example expects: %s', (expected, texts) => {
    const labels = read('en English\nde German\n', expected);
    expect(labels.map(({ text }) => text)).toEqual(texts);
  });

  // A pattern that tries each blank as the beginning of the last ones takes half a minute.
  test('may have long blanks inside', () => {
    const wide = `cat${' '.repeat(300_000)}dog`;
    expect(read(`${wide}\nowl`)).toEqual([
      { id: 0, text: wide },
      { id: 1, text: 'owl' },
    ]);
  });

  test('that begin with numbers are read without them, unless the example expects them', () => {
    const text = '12 monkeys\n3 idiots\n';
    expect(read(text, 'none of them').map((label) => label.text)).toEqual(['monkeys', 'idiots']);
    expect(read(text, '3 idiots').map((label) => label.text)).toEqual(['12 monkeys', '3 idiots']);
  });

  test.each([
    ['written on Windows', '0 cat\r\n1 dog\r\n'],
    ['with a byte order mark', '\uFEFF0 cat\n1 dog'],
    ['with tabs', '0\tcat\n1\tdog\n'],
    ['with blank lines at the end', '0 cat\n1 dog\n\n \n'],
  ])('can be in a file %s', (_what, text) => {
    expect(read(text)).toEqual([
      { id: '0', text: 'cat' },
      { id: '1', text: 'dog' },
    ]);
  });

  test.each([
    ['has a blank line', 'cat\n\ndog\n', 'line 2, is blank. Remove it'],
    ['begins with a blank line', '\n0 cat\n1 dog\n', 'line 1, is blank. Remove it'],
    ['is empty', '\n', 'labels.txt is empty'],
    [
      'has ids in most lines',
      'n01 cat\nn02 dog\nowl\nn04 fox\n',
      'line 3, has no id, unlike most lines; got "owl". Give every line an id, or none',
    ],
  ])('are refused with the model, the file and the line if it %s', (_what, text, reason) => {
    const folder = makeFolder({ 'labels.txt': text });
    const error = errorOf(() => readLabels(folder, manifestWith({})));
    expect(error.code).toBe('manifest_invalid');
    expect(error.message).toContain('sample: output.labels: expected a text file with a line');
    expect(error.message).toContain(path.join(folder, 'labels.txt'));
    expect(error.message).toContain(reason);
  });

  test.each([
    ['in Latin-1', Buffer.from('cat\nStra\u00dfe\n', 'latin1'), 'line 2: expected text in UTF-8'],
    ['in UTF-16', Buffer.from('\ufeffcat\r\ndog\r\n', 'utf16le'), 'line 1: expected text in UTF-8'],
    ['in UTF-16 without a mark', Buffer.from('cat\ndog\n', 'utf16le'), 'line 1: expected text'],
    ['a list in JSON', Buffer.from('["cat", "dog"]'), 'labels.txt is JSON'],
  ])('are not read as other words if they are %s', (_what, bytes, expected) => {
    expect(errorOf(() => read(bytes))).toMatchObject({
      code: 'manifest_invalid',
      message: expect.stringContaining(expected),
    });
  });

  test('may end their lines in any way', () => {
    for (const end of ['\n', '\r\n', '\r']) {
      expect(read(`cat${end}dog${end}`).map(({ text }) => text)).toEqual(['cat', 'dog']);
    }
  });

  test('are refused with the path of their file if that does not exist', () => {
    const folder = makeFolder({});
    const error = errorOf(() => readLabels(folder, manifestWith({})));
    expect(error.code).toBe('manifest_invalid');
    expect(error.message).toContain('sample: output.labels: expected a text file with a line');
    expect(error.message).toContain(`${path.join(folder, 'labels.txt')} does not exist`);
  });
});

describe('the labels of a ranking', () => {
  const manifest = manifestWith({
    output: { ...output, kind: 'ranking', labels: 'questions.json' },
  });
  const question = { id: 11, answerId: 12, question: 'How?', answer: 'So.' };

  test('are questions with their answers', () => {
    const folder = makeFolder({ 'questions.json': [question] });
    expect(readLabels(folder, manifest)).toEqual([
      { id: 11, answerId: 12, text: 'How?', answer: 'So.' },
    ]);
  });

  const { answer: _, ...unanswered } = question;
  test.each<[string, unknown, string]>([
    ['not JSON', 'id,answer\n', 'questions.json is not valid JSON: '],
    ['an empty list', [], 'questions.json: expected a list of 1 or more entries'],
    ['an object', {}, 'questions.json: expected a list'],
    [
      'without answers',
      [question, unanswered],
      'questions.json, line 1, entry 2, answer: expected a text',
    ],
    [
      'with ids that are texts',
      [{ ...question, id: '1' }],
      'questions.json, line 1, entry 1, id: ',
    ],
  ])('are refused with the file and the entry when they are %s', (_what, questions, reason) => {
    const folder = makeFolder({ 'questions.json': questions });
    const error = errorOf(() => readLabels(folder, manifest));
    expect(error.code).toBe('manifest_invalid');
    expect(error.message).toContain(
      'sample: output.labels: expected a JSON array of {id, answerId, question, answer}; ',
    );
    expect(error.message).toContain(path.join(folder, reason));
  });
});
