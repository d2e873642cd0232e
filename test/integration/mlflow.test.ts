// `npm run models -- add` of folders that MLflow has saved. test/mlflow/flats was written by MLflow 3.17. What needs
// MLflow itself is in test/exporters.

import { cpSync, rmSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { fileOfFlavour } from '../../cli/models/adding/mlflow.js';
import { readManifest } from '../../shared/manifest/file.js';
import { addByCommand, addIn, expectRefusal } from '../add-model.js';
import { root } from '../harness.js';
import { environmentOfTests, hasPython } from '../python.js';
import { makeFolder } from '../unit/sample-model.js';

const flats = path.join(root, 'test/mlflow/flats');

/** Adds a copy of the model, with some of its files as they are given. */
function addFlats(files: Record<string, string>, ...flags: string[]) {
  const folder = makeFolder({ 'models/.keep': '' });
  cpSync(flats, path.join(folder, 'flats'), { recursive: true });
  const others = makeFolder(files);
  cpSync(others, path.join(folder, 'flats'), { recursive: true });
  return { folder, add: () => addIn(folder, ['flats', ...flags]) };
}

describe('a model of MLflow', () => {
  test.skipIf(!hasPython)('becomes a network by the exporter of its flavour', async () => {
    const folder = makeFolder({ 'models/.keep': '' });
    const python = path.join(environmentOfTests(), 'bin/python');
    const added = await addByCommand(folder, [flats, '--export', '--python', python]);
    expect(added.said).toContain('flats/model.lgb: a model of LightGBM, exported');
    expect(added.code).toBe(0);
    expect(readManifest(path.join(folder, 'models/flats'))).toMatchObject({
      engine: 'onnx',
      input: { kind: 'table', columns: [{ name: 'rooms' }, { name: 'floor' }] },
      output: { kind: 'regression' },
    });
  });

  test.each([
    ['pytorch', 'model_data: data', 'data/model.pth', '(-1, 3, 32, 32)', ['3,32,32']],
    ['tensorflow', 'data: data', 'data/model/saved_model.pb', '(-1, 2)', undefined],
    ['keras', 'data: data', 'data/model.keras', '(-1, 2)', undefined],
    ['onnx', 'data: model.onnx', 'model.onnx', '(-1, 2)', undefined],
  ])('has its file where MLflow puts that of %s', (flavour, key, file, shape, shapes) => {
    const sizes = shape.replace('(', '[').replace(')', ']');
    const spec = `[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": ${sizes}}}]`;
    const heads: Record<string, string> = {
      onnx: '0808',
      pytorch: '80028a0a6cfc9c46f9206aa85019',
    };
    const folder = makeFolder({
      MLmodel: `flavors:\n  python_function: { loader_module: mlflow.${flavour}, data: data }\n  ${flavour}: { ${key} }\nsignature: { inputs: '${spec}' }\n`,
      [file]: Buffer.from(heads[flavour] ?? '894844460d0a1a0a', 'hex'),
    });
    const found = fileOfFlavour(folder, { isExport: true });
    const inner = flavour === 'tensorflow' ? path.dirname(file) : file;
    expect(found.file).toBe(path.join(folder, inner));
    expect(found.shape).toEqual(shapes);
    const bare = fileOfFlavour(folder, { isExport: false });
    expect(bare.format).toBe(flavour === 'onnx' ? 'onnx' : 'mlflow');
  });

  test('is refused with what is wrong in its folder', async () => {
    const flavors = 'flavors:\n  python_function: { loader_module: mlflow.prophet }\n';
    for (const [files, flags, says] of [
      [{ MLmodel: 'flavors: [' }, [], 'expected YAML in flats/MLmodel'],
      [{ MLmodel: 'utc: 1' }, [], 'expected the flavors of the model in flats/MLmodel'],
      [{ MLmodel: flavors }, ['--export'], 'Leave --export out, and it is served as a Python'],
      [{}, ['--labels', 'x.txt'], '--labels: expected it with a network'],
      [{ MLmodel: 'flavors:\n  crate: {}\n' }, [], 'expected the flavour python_function in flats'],
    ] as const) {
      expectRefusal(await addFlats(files, ...flags).add(), says);
    }
    const { folder, add } = addFlats({});
    rmSync(path.join(folder, 'flats/requirements.txt'));
    expectRefusal(await add(), 'expected requirements.txt in flats, with mlflow');
  });

  test.each(['models:/name/1', 'models:/name@champion', 'runs:/0a1b/model', 's3://store/model'])(
    'is to be downloaded from %s first',
    async (address) => {
      const added = await addIn(makeFolder({ 'models/.keep': '' }), [address]);
      const command = `mlflow artifacts download --artifact-uri '${address}' --dst-path`;
      expectRefusal(added, command);
    },
  );
});
