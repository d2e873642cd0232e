import { expect, test } from 'vitest';
import { parseYaml } from '../../shared/files/parse-yaml.js';
import { readManifest } from '../../shared/manifest/file.js';
import { readTraffic } from '../../shared/registry/traffic.js';
import { errorOf, makeFolder } from './sample-model.js';

/** Each level has nine times as many values as the one before. With twelve, nobody could count them. */
function makeBomb(levels: number): string {
  const level = (at: number) => `a${at}: &a${at} [${Array(9).fill(at ? `*a${at - 1}` : 'x')}]\n`;
  return Array.from({ length: levels }, (_, at) => level(at)).join('');
}

test('aliases stand for values that are elsewhere in the text', () => {
  expect(parseYaml('one: &one {a: 1}\ntwo: *one\n')).toEqual({ one: { a: 1 }, two: { a: 1 } });
  expect(parseYaml(makeBomb(3))).toHaveProperty('a2.8.8', Array(9).fill('x'));
});

test.each([
  ['many', `${makeBomb(12)}description: *a11\n`],
  ['long texts', `a: &a ${'x'.repeat(60_000)}\nb: [${Array(9).fill('*a')}]\n`],
  ['themselves', 'a: &a [*a]\n'],
  ['themselves in a mapping', 'a: &a {b: {c: *a}}\n'],
])('aliases that stand for %s are refused', (_what, text) => {
  expect(() => parseYaml(text)).toThrow('aliases that stand for more than');
});

test.each([
  ['a manifest', 'model.yaml', readManifest],
  ['the traffic of a model', 'traffic.yaml', (folder: string) => readTraffic(folder, ['1'])],
])('%s with such aliases is refused with its file and the line', (_what, name, read) => {
  const folder = makeFolder({ [name]: `name: bomb\n${makeBomb(12)}description: *a11\n` });
  const { message } = errorOf(() => read(folder));
  expect(message).toMatch(/(model|traffic)\.yaml: line 3: .*aliases that stand for/);
});
