import { YAMLException } from 'js-yaml';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { readApiKeyFile } from '../../api/access/api-key-file.js';
import { aliasedMax, parseYaml } from '../../shared/files/parse-yaml.js';
import { readYamlFile } from '../../shared/files/yaml-file.js';
import { collectModels } from '../../shared/registry/models.js';
import { errorOf, makeFolder, sampleLabels, sampleManifest } from './sample-model.js';

/** Lists of nine aliases each, of lists of nine aliases each, and so on. */
function nest(levels: number): string {
  const lists = Array.from({ length: levels }, (_, level) =>
    level === 0
      ? 'x'
      : Array(9)
          .fill(`*a${level - 1}`)
          .join(),
  );
  return lists.map((list, level) => `a${level}: &a${level} [${list}]\n`).join('');
}

describe('aliases', () => {
  test('may repeat a value', () => {
    const value = { a: 'text', b: [1, 2] };
    expect(parseYaml('x: &x {a: text, b: [1, 2]}\ny: [*x, *x]')).toEqual({
      x: value,
      y: [value, value],
    });
  });

  test.each([
    ['of many levels', nest(30)],
    [
      'of a long text',
      `a: &a ${'x'.repeat(1000)}\nb: [${Array(aliasedMax / 500)
        .fill('*a')
        .join()}]`,
    ],
    ['within themselves', 'a: &a [*a]'],
    ['within themselves, under a key', 'a: &a {b: {c: *a}}'],
    [
      'of a great depth',
      Array.from(
        { length: 20_000 },
        (_, at) => `${20_000 - at}: &a${at} [${at && `*a${at - 1}`}]\n`,
      ).join(''),
    ],
  ])('%s are refused', (_what, text) => {
    expect(() => parseYaml(text)).toThrow(YAMLException);
    expect(() => parseYaml(text)).toThrow('aliases that stand for');
  });

  test('that are refused are named with their file and line', () => {
    const file = `${makeFolder({ 'broken.yaml': `name: a\n${nest(30)}` })}/broken.yaml`;
    const read = () =>
      readYamlFile(file, z.strictObject({}), { what: 'a file', code: 'manifest_invalid' });
    const error = errorOf(read);
    expect(error.code).toBe('manifest_invalid');
    expect(error.message).toContain(`${file}: line 3: expected valid YAML; got: aliases`);
  });

  test('that are refused in a manifest or a traffic.yaml affect no other model', () => {
    const filesOf = (name: string) => ({
      [`${name}/model.yaml`]: { ...sampleManifest, name },
      [`${name}/labels.txt`]: sampleLabels,
      [`${name}/model.onnx`]: 'onnx',
    });
    const directory = makeFolder({
      ...filesOf('sound'),
      ...filesOf('manifest'),
      'manifest/model.yaml': `${nest(30)}name: manifest\n`,
      ...filesOf('traffic'),
      'traffic/traffic.yaml': `${nest(30)}latest: 1\n`,
    });
    const { models, leftOut } = collectModels({ directory, filesNeeded: true });
    expect(models.map(({ name }) => name)).toEqual(['sound', 'traffic']);
    expect(leftOut.map(({ name, isTraffic = false }) => [name, isTraffic])).toEqual([
      ['manifest', false],
      ['traffic', true],
    ]);
    for (const { name, error } of leftOut) {
      expect(error.message).toMatch(new RegExp(`/${name}/\\w+\\.yaml: line 2: .*got: aliases`));
    }
  });

  test('that are refused in a file of API keys are named as the fault of KEYS_FILE', () => {
    const file = `${makeFolder({ 'keys.yaml': nest(30) })}/keys.yaml`;
    const error = errorOf(() => readApiKeyFile(file));
    expect(error.code).toBe('configuration_invalid');
    expect(error.message).toMatch(/^KEYS_FILE: .*got one with a fault: aliases that stand for/);
  });
});

test('of thousands of faults in a file, a hundred are named and the others counted', () => {
  const file = `${makeFolder({ 'broken.yaml': `list: [${Array(3000).fill('x').join()}]` })}/broken.yaml`;
  const schema = z.object({ list: z.array(z.number()) });
  const { message } = errorOf(() =>
    readYamlFile(file, schema, { what: 'a file', code: 'manifest_invalid' }),
  );
  const lines = message.split('\n');
  expect(lines).toHaveLength(101);
  expect(lines[0]).toMatch(/line 1: list.0: expected number; got x$|line 1: list.0: .*got "x"$/);
  expect(lines[100]).toBe(`${file}: 2900 more faults like these`);
});

test('keys that nobody knows are faults of their own, each with its line and the keys that there are', () => {
  const file = `${makeFolder({ 'broken.yaml': 'a:\n  b: 1\n  c: 2\n' })}/broken.yaml`;
  const schema = z.strictObject({ a: z.strictObject({ d: z.number().default(1) }) });
  const { message } = errorOf(() =>
    readYamlFile(file, schema, { what: 'a file', code: 'manifest_invalid' }),
  );
  expect(message.split('\n')).toEqual([
    `${file}: line 2: a.b: expected one of the keys d; got 1`,
    `${file}: line 3: a.c: expected one of the keys d; got 2`,
  ]);
});

test('of a file that is far too large, nothing is read', () => {
  const file = `${makeFolder({ 'large.yaml': `a: ${'x'.repeat(1024 * 1024)}\n` })}/large.yaml`;
  const { message } = errorOf(() =>
    readYamlFile(file, z.any(), { what: 'a manifest', code: 'manifest_invalid' }),
  );
  expect(message).toBe(`${file}: expected a manifest, of at most 1048576 bytes; got 1048580`);
});
