import { expect, test } from 'vitest';
import { agreedSettings } from '../../shared/manifest/agreed-settings.js';
import { sampleManifest } from './sample-model.js';

const file = { file: 'a', bytes: 1, sha256: '0' };
const manifest = {
  ...sampleManifest,
  source: { ...sampleManifest.source, externalData: [file], tokenizer: file },
  outputs: { again: { kind: 'classification', threshold: 0.05 } },
};
const settings = agreedSettings(manifest);

test.each([
  ['input', { input: { kind: 'text', normalise: 'nfkc-quotes' } }],
  ['output', { output: { ...manifest.output, activation: 'sigmoid' } }],
  ['outputs', { outputs: { again: { kind: 'classification', threshold: 0.5 } } }],
  ['source.tokenizer', { source: { ...manifest.source, tokenizer: { ...file, sha256: '1' } } }],
  ['batch.dimension', { batch: { max: 1, dimension: 'none' } }],
  ['batch', { batch: 'none' }],
  ['a key that is new', { new: true }],
  ['a key of a file that is new', { source: { ...manifest.source, new: true } }],
  ['a key like one without effect, elsewhere', { output: { ...manifest.output, device: 'cpu' } }],
  ['the items of a list', { source: { ...manifest.source, externalData: [file, file] } }],
])('settings change with %s', (_what, changes) => {
  expect(agreedSettings({ ...manifest, ...changes })).not.toBe(settings);
});

test.each([
  ['description', { description: 'Another.' }],
  ['device', { device: { type: 'cuda', id: 1 } }],
  ['batch.max and batch.waitMs', { batch: { max: 7, waitMs: 5 } }],
  ['deadlines', { deadlineMs: 1, runMsMax: 1, loadMsMax: 1, jobs: { deadlineMs: 1 } }],
  ['cache, scaling and goals', { cache: {}, scaling: { max: 3 }, slo: {} }],
  ['example and samples', { example: undefined, samples: ['x'] }],
  [
    'addresses of files',
    {
      source: {
        ...manifest.source,
        urls: ['http://a'],
        externalData: [{ ...file, urls: ['http://b'] }],
        tokenizer: { ...file, archive: {} },
      },
    },
  ],
])('settings stay with another value of %s', (_what, changes) => {
  expect(agreedSettings({ ...manifest, ...changes })).toBe(settings);
});

test('settings stay with another order of keys', () => {
  const turned = Object.fromEntries(Object.entries(manifest).reverse());
  expect(agreedSettings(turned)).toBe(settings);
});
