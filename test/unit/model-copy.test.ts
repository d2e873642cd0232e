import { existsSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { copyManifest } from '../../cli/models/copy.js';
import { type Model, readModels } from '../../shared/registry/models.js';
import { makeFolder, sampleManifest } from './sample-model.js';

test('a copy of a model has the labels of all its answers', () => {
  const directory = makeFolder({
    'sample/model.yaml': {
      ...sampleManifest,
      outputs: {
        inside: { kind: 'classification', labels: 'inside.txt' },
        outside: { kind: 'classification', labels: '../outside.txt' },
        numbered: { kind: 'regression' },
      },
    },
    'sample/labels.txt': 'cat\ndog\n',
    'sample/inside.txt': 'red\ngreen\nblue\n',
    'outside.txt': 'near\nfar\n',
  });
  const [model] = readModels({ directory, names: ['sample'], filesNeeded: false }) as [Model];
  const copies = path.join(makeFolder({ 'a/deeper/folder': '' }), 'a/deeper');
  const folder = copyManifest(model, copies, []);
  expect(existsSync(path.join(folder, 'inside.txt'))).toBe(true);
  const [copy] = readModels({ directory: copies, names: ['sample'], filesNeeded: false });
  expect(copy?.labels).toEqual(model.labels);
  expect(copy?.heads.map(({ labels }) => labels)).toEqual(model.heads.map(({ labels }) => labels));
});
