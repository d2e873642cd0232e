// Tests that a model's files are those of its manifest, with real ONNX files.

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { collectModels, type Model, readModels } from '../../shared/models.js';
import { packageDirectory } from '../../shared/version.js';
import { findExternalData } from '../../worker/files/external-data.js';
import { verifyFiles } from '../../worker/files/verification.js';
import {
  elementTypes,
  externalTensor,
  floats,
  graph,
  integer,
  node,
  onnxModel,
  subgraph,
  tensor,
  tensorAttribute,
  value,
} from '../onnx.js';
import { makeFolder, sampleLabels, sampleManifest } from '../unit/sample-model.js';

const { FP32: float, BYTES: string } = elementTypes;
const weights = floats([1, 2, 3, 4, 5]);

const sourceOf = (file: string, content: Uint8Array) => ({
  file,
  bytes: content.byteLength,
  sha256: createHash('sha256').update(content).digest('hex'),
});

/** A network that scores a text with five numbers, which are the given constant or node. */
const network = (constants: Buffer[], nodes: Buffer[] = []) =>
  onnxModel(
    graph({
      nodes: [
        ...nodes,
        node('Cast', ['text'], ['number'], integer('to', float)),
        node('Mul', ['number', 'weights'], ['scores']),
      ],
      constants,
      inputs: [value('text', string, ['N', 1])],
      outputs: [value('scores', float, ['N', 5])],
    }),
  );
const whole = network([tensor('weights', float, [5], weights)]);
const outside = (location: string) =>
  network([externalTensor('weights', float, [5], { location, offset: '0', length: '20' })]);

/** Writes a model with these files. The manifest has the source given, or that of the ONNX file. */
function makeModel(files: Record<string, Uint8Array>, source: Record<string, unknown> = {}): Model {
  const onnx = files['model.onnx'] ?? whole;
  const directory = makeFolder({
    'sample/model.yaml': {
      ...sampleManifest,
      source: { ...sourceOf('model.onnx', onnx), ...source },
    },
    'sample/labels.txt': sampleLabels,
    'sample/model.onnx': onnx,
    ...Object.fromEntries(Object.entries(files).map(([name, bytes]) => [`sample/${name}`, bytes])),
  });
  return readModels({ directory, filesNeeded: true })[0] as Model;
}

describe('the files of a model', () => {
  test('are right if their sizes and hashes are those of the manifest', async () => {
    await verifyFiles(makeModel({}));
    const externalData = [sourceOf('weights.bin', weights)];
    await verifyFiles(
      makeModel({ 'model.onnx': outside('weights.bin'), 'weights.bin': weights }, { externalData }),
    );
  });

  test('of this repository are right', async () => {
    const directory = path.join(packageDirectory(), 'models');
    for (const model of collectModels({ directory, filesNeeded: true }).models) {
      await verifyFiles(model);
    }
  });

  const urls = ['https://example.org/model.onnx'];
  const pointer = Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:1f\n');
  test.each<[string, Uint8Array, Record<string, unknown>, string]>([
    ['empty', Buffer.alloc(0), { bytes: 5 }, 'The file is empty. Export the model again.'],
    ['cut off', whole.subarray(0, 50), { bytes: 999 }, 'Put the right file there, or correct'],
    ['another one of the same size', whole, { sha256: 'a'.repeat(64) }, 'Put the right file there'],
    ['a pointer of Git LFS', pointer, { bytes: 999 }, 'Get the file with: git lfs pull'],
    ['to be pulled again', whole, { bytes: 999, urls }, 'npm run models -- pull sample'],
  ])('are refused with both sizes and hashes if one is %s', async (_what, onnx, source, remedy) => {
    const model = makeModel({ 'model.onnx': onnx }, source);
    const { bytes, sha256 } = model.manifest.source;
    const got = sourceOf('model.onnx', onnx);
    const verifying = verifyFiles(model);
    await expect(verifying).rejects.toMatchObject({ code: 'model_file_wrong' });
    await expect(verifying).rejects.toThrow(
      `sample: ${model.file}: expected ${bytes} bytes with SHA-256 ${sha256}; got ${got.bytes} bytes with ${got.sha256}. `,
    );
    await expect(verifying).rejects.toThrow(remedy);
  });

  test('are refused if the external data is another', async () => {
    const externalData = [{ ...sourceOf('weights.bin', weights), bytes: 21 }];
    const model = makeModel(
      { 'model.onnx': outside('weights.bin'), 'weights.bin': weights },
      { externalData },
    );
    await expect(verifyFiles(model)).rejects.toThrow('weights.bin: expected 21 bytes');
  });

  test('are refused with the lines to add if the manifest does not name external data', async () => {
    const files = { 'model.onnx': outside('weights.bin'), 'weights.bin': weights };
    const { bytes, sha256 } = sourceOf('weights.bin', weights);
    const verifying = verifyFiles(makeModel(files));
    await expect(verifying).rejects.toMatchObject({ code: 'manifest_invalid' });
    await expect(verifying).rejects.toThrow(
      `externalData: [{ file: weights.bin, bytes: ${bytes}, sha256: ${sha256} }]`,
    );
    const alone = verifyFiles(makeModel({ 'model.onnx': outside('weights.bin') }));
    await expect(alone).rejects.toThrow(
      /it also keeps some in weights.bin. There is no file \S+weights.bin: put it/,
    );
  });
});

describe('a hash that is kept', () => {
  const large = network([
    tensor('weights', float, [5], weights),
    tensor('more', float, [250_000], Buffer.alloc(1_000_000)),
  ]);

  test('is used while size and times stay, and no longer', async () => {
    const model = makeModel({ 'model.onnx': large });
    const kept = makeFolder({});
    const verify = () => verifyFiles(model, kept);
    utimesSync(model.file, 1e9, 1e9);
    await verify();
    const [name] = readdirSync(kept) as [string];
    const file = path.join(kept, name);
    const hash = JSON.parse(readFileSync(file, 'utf8'));
    // A wrong hash shows that the file is not read again.
    writeFileSync(file, JSON.stringify({ ...hash, sha256: 'f'.repeat(64) }));
    await expect(verify()).rejects.toThrow(`bytes with ${'f'.repeat(64)}`);

    const other = Buffer.from(large);
    other.writeUInt8(7, other.length - 1);
    writeFileSync(model.file, other);
    // As a copy that keeps the time of modification.
    utimesSync(model.file, 1e9, 1e9);
    await expect(verify()).rejects.toThrow(`bytes with ${sourceOf('', other).sha256}`);
    writeFileSync(model.file, large);
    await verify();
    expect(readdirSync(kept)).toEqual([name]);
  });

  test('is not needed: it may be damaged, and its folder may be read-only', async () => {
    const model = makeModel({ 'model.onnx': large });
    const kept = makeFolder({});
    await verifyFiles(model, kept);
    const [name] = readdirSync(kept) as [string];
    writeFileSync(path.join(kept, name), '{"bytes');
    await verifyFiles(model, kept);
    rmSync(path.join(kept, name));
    await verifyFiles(model, path.join(model.file, 'no folder'));
  });
});

describe('external data', () => {
  const locate = (onnx: Uint8Array, file = path.join(makeFolder({}), 'model.onnx')) => {
    writeFileSync(file, onnx);
    return findExternalData(file);
  };

  test('is found in constants, in attributes of nodes and in graphs inside', () => {
    const external = (location: string) => externalTensor('', float, [5], { location });
    const inner = graph({
      nodes: [node('Constant', [], ['c'], tensorAttribute('value', external('in/attribute.bin')))],
      constants: [external('inner.bin'), tensor('w', float, [5], weights)],
      inputs: [],
      outputs: [],
    });
    const loop = node('Loop', ['a', 'b'], ['d'], subgraph('body', inner));
    const large = tensor('large', float, [50_000], Buffer.alloc(200_000, 0xff));
    expect(
      locate(network([external('outer.bin'), large, external('outer.bin')], [loop])).toSorted(),
    ).toEqual(['in/attribute.bin', 'inner.bin', 'outer.bin']);
    expect(locate(whole)).toEqual([]);
  });

  test('is looked for in any bytes without a failure', () => {
    const onnx = outside('weights.bin');
    const file = path.join(makeFolder({}), 'model.onnx');
    for (let length = 0; length < onnx.length; length++) locate(onnx.subarray(0, length), file);
    for (let at = 0; at < onnx.length; at++) {
      for (const byte of [0, 0x7f, 0xff]) {
        const damaged = Buffer.from(onnx);
        damaged[at] = byte;
        locate(damaged, file);
      }
    }
    expect(locate(Buffer.alloc(300, 0xff))).toEqual([]);
  });
});
