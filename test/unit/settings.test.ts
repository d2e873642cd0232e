import { describe, expect, test } from 'vitest';
import { merge, readSettings } from '../../cli/models/adding/settings.js';

const base = {
  input: { kind: 'image', mean: [0.5], std: [0.5] },
  output: { kind: 'classification', threshold: 0.5 },
  example: { input: 'a' },
};

describe('--set', () => {
  test('null removes a key of the manifest, also beside others of its section', () => {
    const settings = readSettings([
      'output.labels=names.txt',
      'output.threshold=null',
      'batch.max=null',
      'example=null',
    ]);
    expect(merge(base, settings)).toEqual({
      input: base.input,
      output: { kind: 'classification', labels: 'names.txt' },
      batch: {},
    });
  });

  test('a later value prevails, also over null', () => {
    const settings = readSettings(['example=null', 'example.input=b', 'version=1', 'version=null']);
    expect(merge({ ...base, version: 3 }, settings)).toMatchObject({ example: { input: 'b' } });
    expect(merge({ ...base, version: 3 }, settings)).not.toHaveProperty('version');
  });

  test.each([
    ['', 'nothing'],
    ['[1', '[1'],
  ])('a key without a value, "%s", is refused', (text, got) => {
    const message = `--set: expected a value in YAML for batch.max, or null to remove it; got ${got}`;
    expect(() => readSettings([`batch.max=${text}`])).toThrow(message);
  });

  test('a scale rules out a mean, and null rules out nothing', () => {
    expect(merge(base, readSettings(['input.scale=1'])).input).toEqual({ kind: 'image', scale: 1 });
    expect(merge(base, readSettings(['input.scale=null'])).input).toEqual(base.input);
  });
});
