import { describe, expect, test } from 'vitest';
import { type Edit, editYaml } from '../../cli/models/yaml-edit.js';
import { errorOf } from './sample-model.js';

const shortForms = { device: 'type', batch: 'max' };
const edit = (text: string, ...edits: Edit[]) =>
  editYaml(text, edits, { file: 'model.yaml', shortForms });

describe('editing a YAML text', () => {
  test('changes a value and nothing around it', () => {
    const text = '# top\nbatch:   { max: 16 }   # why\nlist: [1,2]\n';
    expect(edit(text, [['batch', 'max'], 4])).toBe(
      '# top\nbatch:   { max: 4 }   # why\nlist: [1,2]\n',
    );
  });

  test.each<[string, Edit, string]>([
    ['a: 1\n', [['batch', 'max'], 4], 'a: 1\nbatch: { max: 4 }\n'],
    ['a: 1', [['batch', 'max'], 4], 'a: 1\nbatch: { max: 4 }\n'],
    [
      'batch:\n  # full\n  max: 1 # x\n',
      [['batch', 'waitMs'], 2],
      'batch:\n  # full\n  waitMs: 2\n  max: 1 # x\n',
    ],
    ['batch: {max: 1}\n', [['batch', 'waitMs'], 2], 'batch: {waitMs: 2, max: 1}\n'],
    [
      'device: cpu # here\n',
      [['device', 'threads'], 2],
      'device: { type: cpu, threads: 2 } # here\n',
    ],
    [
      '{"device": "cpu", "a": 1}',
      [['device', 'threads'], 2],
      '{"device": { type: "cpu", threads: 2 }, "a": 1}',
    ],
    ['a: { b: { c: 1 } }\n', [['a', 'b', 'd'], 'x y'], 'a: { b: { d: "x y", c: 1 } }\n'],
    ['version: 1\n', [['version'], '2'], 'version: "2"\n'],
    ['version: 1\n', [['version'], '1-int8'], 'version: "1-int8"\n'],
    [
      's:\n  a: 1\n  urls:\n    - x\n    - y\nb: 2\n',
      [['s', 'urls'], undefined],
      's:\n  a: 1\nb: 2\n',
    ],
    ['s:\n  urls: [x]\n  a: 1\n', [['s', 'urls'], undefined], 's:\n  a: 1\n'],
    ['s: { a: 1, urls: [x] }\n', [['s', 'urls'], undefined], 's: { a: 1 }\n'],
    ['a: 1\n', [['s', 'urls'], undefined], 'a: 1\n'],
  ])('of %j sets %j', (text, change, expected) => {
    expect(edit(text, change)).toBe(expected);
  });

  test('refuses what it cannot edit, and says what to write', () => {
    const text = 'base: &b { max: 1 }\nbatch: *b\n';
    expect(errorOf(() => edit(text, [['batch', 'max'], 4])).message).toBe(
      'model.yaml: expected a form that can be edited at batch.max. Write it by hand: batch.max: 4',
    );
    // The value would change in another place, too.
    const shared = 'batch: &b { max: 1 }\nother: *b\n';
    expect(errorOf(() => edit(shared, [['batch', 'max'], 4])).message).toContain('by hand');
    expect(errorOf(() => edit('- 1\n', [['a'], 1])).message).toContain('by hand');
  });
});
