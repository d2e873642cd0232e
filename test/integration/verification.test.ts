// Tests that a model's files are those of its manifest, with real ONNX files.

import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { describedFiles, type SourceFile } from '../../shared/manifest/manifest.js';
import { collectModels, type Model, readModels } from '../../shared/registry/models.js';
import { packageDirectory } from '../../shared/version.js';
import { readOutsideNeeds } from '../../worker/files/onnx-file.js';
import { UnreadableBuffer } from '../../worker/files/protocol-buffer.js';
import { verifyFiles } from '../../worker/files/verification.js';
import { waitUntil } from '../harness.js';
import {
  elementTypes,
  externalTensor,
  field,
  floats,
  graph,
  inDomain,
  integer,
  node,
  onnxModel,
  subgraph,
  tensor,
  tensorAttribute,
  value,
  withFunction,
} from '../onnx.js';
import {
  asAnotherUser,
  makeFolder,
  sampleLabels,
  sampleManifest,
  sourceOf,
} from '../unit/sample-model.js';

const { FP32: float, BYTES: string } = elementTypes;
const weights = floats([1, 2, 3, 4, 5]);

/** A network that scores a text with five numbers, which are the given constant or node. */
const network = (constants: Buffer[], nodes: Buffer[] = []) =>
  onnxModel({
    nodes: [
      ...nodes,
      node('Cast', ['text'], ['number'], integer('to', float)),
      node('Mul', ['number', 'weights'], ['scores']),
    ],
    constants,
    inputs: [value('text', string, ['N', 1])],
    outputs: [value('scores', float, ['N', 5])],
  });
const whole = network([tensor('weights', float, [5], weights)]);
const outside = (location: string, writeEntry?: (key: string, value: string) => Buffer) =>
  network([
    externalTensor('weights', float, [5], { location, offset: '0', length: '20' }, writeEntry),
  ]);

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

  test('are wrong if the code of a program is not what it was when the model was read', async () => {
    const directory = makeFolder({
      'sample/2/model.yaml': {
        ...sampleManifest,
        version: '2',
        source: undefined,
        engine: 'python',
      },
      'sample/2/labels.txt': sampleLabels,
      'sample/2/predict.py': '',
      'sample/2/requirements.txt': '',
    });
    const [model] = readModels({ directory, filesNeeded: true }) as [Model];
    await verifyFiles(model);
    writeFileSync(path.join(model.folder, 'beside.py'), 'x = 1');
    await expect(verifyFiles(model)).rejects.toMatchObject({
      code: 'model_file_wrong',
      message: expect.stringContaining('predict.py: expected the code of version 2'),
    });
  });

  test('are wrong if the user of the process must not read them', async () => {
    const model = makeModel({});
    chmodSync(path.dirname(model.folder), 0o755);
    chmodSync(model.file, 0o000);
    await asAnotherUser(() =>
      expect(verifyFiles(model)).rejects.toMatchObject({
        code: 'model_file_wrong',
        message: expect.stringContaining('cannot be read (EACCES). Let the user of this process'),
      }),
    );
  });

  test.each<[string, (file: string) => void]>([
    ['a device', (file) => symlinkSync('/dev/null', file)],
    ['a folder', (file) => mkdirSync(file)],
    ['a link to itself', (file) => symlinkSync(file, file)],
  ])('are wrong, or missing, if one is %s', async (_, make) => {
    const model = makeModel({});
    rmSync(model.file);
    make(model.file);
    await expect(verifyFiles(model)).rejects.toThrow(
      /expected (?:a|the) file.*there is none\. Put /,
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
    const [{ bytes, sha256 }] = describedFiles(model.manifest.source) as [SourceFile];
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

describe('an ONNX file with weights outside of its folder', () => {
  const expectRefused = async (onnx: Buffer, message: string) => {
    const files = { 'model.onnx': onnx, 'weights.bin': weights };
    const model = makeModel(files, { externalData: [sourceOf('weights.bin', weights)] });
    writeFileSync(path.join(model.folder, '../weights.bin'), weights);
    const verifying = verifyFiles(model);
    await expect(verifying).rejects.toMatchObject({ code: 'model_file_wrong' });
    await expect(verifying).rejects.toThrow(message);
  };

  test.each([
    '/etc/hostname',
    '../weights.bin',
    'data/../../weights.bin',
    './../weights.bin',
    '..\\weights.bin',
    '',
    // ONNX Runtime would take the offset for an address in its memory.
    '*/_ORT_MEM_ADDR_/*',
  ])('is refused: %s', async (location) => {
    await expectRefused(outside(location), `it keeps weights in ${JSON.stringify(location)}`);
  });

  // A reader that expects the order of most files would not see the location.
  test.each<[string, (key: string, value: string) => Buffer]>([
    ['behind its value', (key, value) => Buffer.concat([field(2, value), field(1, key)])],
    ['twice', (key, value) => Buffer.concat([field(1, 'x'), field(1, key), field(2, value)])],
    [
      'with two values',
      (key, value) => Buffer.concat([field(1, key), field(2, 'weights.bin'), field(2, value)]),
    ],
  ])('is refused with the key %s', async (_what, writeEntry) => {
    await expectRefused(outside('../weights.bin', writeEntry), 'it keeps weights in "../weights');
  });

  test.each([
    // Field 3 as a group that ends at once.
    ['a group', [3 * 8 + 3, 3 * 8 + 4]],
    // Field 1 with bits that a parser of 32 bits drops.
    ['a tag of more than 32 bits', [0x8a, 0x80, 0x80, 0x80, 0x10, 0]],
    ['a tag of more than five bytes', [0x8a, 0x80, 0x80, 0x80, 0x80, 0, 0]],
    ['a field without a number', [0, 0]],
  ])('is refused where it hides behind %s', async (_what, bytes) => {
    const hidden = Buffer.concat([Buffer.from(bytes), outside('../weights.bin')]);
    await expectRefused(hidden, 'got a file that cannot be read at byte 0. Export the model again');
  });

  test('is refused where it hides in a function or a training graph', async () => {
    const external = externalTensor('', float, [5], { location: '../weights.bin' });
    const attribute = field(11, tensorAttribute('value', external));
    const training = field(1, graph({ nodes: [], constants: [external], inputs: [], outputs: [] }));
    for (const hidden of [field(25, attribute), field(20, training)]) {
      await expectRefused(Buffer.concat([whole, hidden]), 'it keeps weights in "../weights.bin"');
    }
  });

  test('is refused where graphs lie too deep in each other', async () => {
    let nodes: Buffer[] = [];
    for (let depth = 0; depth < 60; depth++) {
      const inner = graph({ nodes, inputs: [], outputs: [] });
      nodes = [node('Loop', [], [], subgraph('body', inner))];
    }
    await expectRefused(
      onnxModel({ nodes, inputs: [], outputs: [] }),
      'got a file that cannot be read at byte',
    );
  });
});

describe('a link', () => {
  const externalData = [sourceOf('data/weights.bin', weights)];
  const makeLinked = () =>
    makeModel(
      { 'model.onnx': outside('data/weights.bin'), 'data/weights.bin': weights },
      { externalData },
    );

  test('that leads outside of the model is refused for external data', async () => {
    for (const name of ['data', 'data/weights.bin']) {
      const model = makeLinked();
      await verifyFiles(model);
      const [from, to] = [path.join(model.folder, name), path.join(makeFolder({}), 'elsewhere')];
      renameSync(from, to);
      symlinkSync(to, from);
      const verifying = verifyFiles(model);
      await expect(verifying).rejects.toMatchObject({ code: 'model_file_wrong' });
      await expect(verifying).rejects.toThrow(
        `${path.join(model.folder, 'data/weights.bin')}: expected a file inside ${model.folder}; a link leads to ${to}`,
      );
    }
  });

  test('inside of the model is followed, and so is one that is the ONNX file or the folder', async () => {
    const model = makeLinked();
    for (const name of ['data/weights.bin', 'model.onnx']) {
      const [from, to] = [path.join(model.folder, name), path.join(model.folder, 'kept')];
      mkdirSync(to, { recursive: true });
      renameSync(from, path.join(to, path.basename(name)));
      symlinkSync(path.join(to, path.basename(name)), from);
    }
    const onnx = path.join(makeFolder({}), 'elsewhere.onnx');
    renameSync(path.join(model.folder, 'kept/model.onnx'), onnx);
    rmSync(model.file);
    symlinkSync(onnx, model.file);
    const folder = path.join(makeFolder({}), 'sample');
    symlinkSync(model.folder, folder);
    await verifyFiles({ ...model, folder, file: path.join(folder, 'model.onnx') });
  });
});

describe('an operator', () => {
  const using = (domain: string, name: string) =>
    network(
      [tensor('weights', float, [5], weights)],
      [inDomain(domain, node(name, ['weights'], ['unused']))],
    );

  test.each([
    ['acme.vision', 'Rotate'],
    ['ai.onnx.contrib', 'BertTokenizer'],
    ['trt.plugins', 'EfficientNMS_TRT'],
    ['org.pytorch.aten', 'ATen'],
  ])('that is custom is refused by its name: %s.%s', async (domain, name) => {
    const verifying = verifyFiles(makeModel({ 'model.onnx': using(domain, name) }));
    await expect(verifying).rejects.toMatchObject({ code: 'model_file_wrong' });
    await expect(verifying).rejects.toThrow(`got the custom operator "${domain}.${name}"`);
  });

  test('that is custom is found in graphs inside and in functions, and only a few are listed', async () => {
    const custom = ['A', 'B', 'C', 'D', 'E'].map((name) => inDomain('acme', node(name, [], [])));
    const inner = graph({ nodes: custom.slice(0, 4), inputs: [], outputs: [] });
    const loop = network([], [node('Loop', [], [], subgraph('body', inner))]);
    const onnx = Buffer.concat([loop, field(25, field(7, custom[4] as Buffer))]);
    await expect(verifyFiles(makeModel({ 'model.onnx': onnx }))).rejects.toThrow(
      'got the custom operators "acme.A", "acme.B", "acme.C" and 2 more.',
    );
  });

  test('that the model defines as a function is none', async () => {
    const onnx = withFunction(using('acme', 'Double'), ['acme', 'Double'], 'Abs');
    await verifyFiles(makeModel({ 'model.onnx': onnx }));
    const other = withFunction(using('acme', 'Double'), ['other', 'Double'], 'Abs');
    await expect(verifyFiles(makeModel({ 'model.onnx': other }))).rejects.toThrow('"acme.Double"');
  });

  test.each(['', 'ai.onnx', 'ai.onnx.ml', 'com.microsoft'])('of "%s" is none', async (domain) => {
    await verifyFiles(makeModel({ 'model.onnx': using(domain, 'Any') }));
  });

  test('that is a compiled program is refused', async () => {
    const onnx = using('com.microsoft', 'EPContext');
    await expect(verifyFiles(makeModel({ 'model.onnx': onnx }))).rejects.toThrow(
      'got one that is compiled for a device (EPContext)',
    );
  });
});

test('a model in the ORT format is refused', async () => {
  const model = makeModel({ 'model.ort': whole }, sourceOf('model.ort', whole));
  await expect(verifyFiles(model)).rejects.toThrow('got one in the ORT format');
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
    const { ctimeMs } = statSync(model.file);
    await waitUntil('the file has another time of change', () => {
      writeFileSync(model.file, other);
      // As a copy that keeps the time of modification.
      utimesSync(model.file, 1e9, 1e9);
      return statSync(model.file).ctimeMs !== ctimeMs;
    });
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
    return readOutsideNeeds(file).externalData;
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

  test('is looked for in any bytes, and what is none is refused', () => {
    const onnx = outside('weights.bin');
    const file = path.join(makeFolder({}), 'model.onnx');
    const attempt = (bytes: Uint8Array) => {
      try {
        return locate(bytes, file);
      } catch (error) {
        if (error instanceof UnreadableBuffer) return undefined;
        throw error;
      }
    };
    for (let length = 0; length < onnx.length; length++) attempt(onnx.subarray(0, length));
    for (let at = 0; at < onnx.length; at++) {
      for (const byte of [0, 0x7f, 0xff]) {
        const damaged = Buffer.from(onnx);
        damaged[at] = byte;
        attempt(damaged);
      }
    }
    expect(attempt(Buffer.alloc(300, 0xff))).toBeUndefined();
    expect(attempt(onnx.subarray(0, onnx.length - 1))).toBeUndefined();
  });
});
