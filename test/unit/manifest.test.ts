import { readFileSync, rmSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { load } from 'js-yaml';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { scoresExampleSchema, tensorsExampleSchema } from '../../shared/manifest/example.js';
import { listModels, readManifest } from '../../shared/manifest/file.js';
import { manifestSchema } from '../../shared/manifest/manifest.js';
import { readModels } from '../../shared/registry/models.js';
import { packageDirectory } from '../../shared/version.js';
import { readSnippets } from '../snippets.js';
import { errorOf, makeFolder, sampleLabels, sampleManifest } from './sample-model.js';

const imageInput = { kind: 'image', width: 2, height: 3, tensor: 'float32-nchw' };
const mean = [0.5, 0.5, 0.5];
const std = [0.2, 0.2, 0.2];

/** Writes a manifest into its own folder, with some keys replaced, or with this text. */
function folderWith(content: Record<string, unknown> | string): string {
  const whole = typeof content === 'string' ? content : { ...sampleManifest, ...content };
  return path.join(makeFolder({ 'sample/model.yaml': whole }), 'sample');
}

describe('the manifests of this repository', () => {
  const directory = path.join(packageDirectory(), 'models');
  const manifests = listModels(directory).map((name) => readManifest(path.join(directory, name)));

  test('are valid, and each is in the folder of its name', () => {
    expect(manifests.map((manifest) => manifest.name)).toContain('efficientnet-lite0');
  });

  test('have names and versions that BullMQ accepts in a queue name', () => {
    for (const { name, version } of manifests) expect(`${name}@${version}`).not.toContain(':');
  });
});

describe('a valid manifest', () => {
  test('gets the documented defaults for missing keys', () => {
    expect(readManifest(folderWith({}))).toEqual({
      ...sampleManifest,
      version: '1',
      engine: 'onnx',
      source: { ...sampleManifest.source, engine: 'onnx', urls: [], externalData: [] },
      input: { kind: 'text', charactersMax: 20_000, normalise: 'none' },
      output: { ...sampleManifest.output, activation: 'none' },
      outputs: {},
      batch: { max: 32, waitMs: 0, dimension: 'first' },
      device: { type: 'cpu', id: 0, threads: 0, instances: 1, memoryArena: true },
      deadlineMs: 30_000,
      runMsMax: 60_000,
      loadMsMax: 600_000,
      jobs: { deadlineMs: 3_600_000, keepMs: 3_600_000 },
      scaling: { min: 0, max: 10, itemsPerWorker: 64, coolDownSeconds: 300, schedule: [] },
      example: { input: 'hello', expected: { label: 'cat', tolerance: 0.001 } },
    });
  });

  test('can name a device by its type alone', () => {
    const { device } = readManifest(folderWith({ device: 'cuda' }));
    expect(device).toEqual({ type: 'cuda', id: 0, threads: 0, instances: 1, memoryArena: true });
  });

  test('can name a device with its settings', () => {
    const { device } = readManifest(folderWith({ device: { type: 'cuda', id: 1 } }));
    expect(device).toEqual({ type: 'cuda', id: 1, threads: 0, instances: 1, memoryArena: true });
    const cpu = readManifest(folderWith({ device: { threads: 2 } }));
    expect(cpu.device).toEqual({ type: 'cpu', id: 0, threads: 2, instances: 1, memoryArena: true });
  });

  test('gets the defaults for the missing keys of a section', () => {
    const { batch, scaling } = readManifest(folderWith({ batch: { max: 5 }, scaling: { min: 2 } }));
    expect(batch).toEqual({ max: 5, waitMs: 0, dimension: 'first' });
    expect(scaling).toMatchObject({ min: 2, max: 10, itemsPerWorker: 64 });
  });

  test('of a Python program needs no source', () => {
    const { engine, source } = readManifest(folderWith({ engine: 'python', source: undefined }));
    expect(engine).toBe('python');
    expect(source).toEqual({
      engine: 'python',
      file: 'predict.py',
      requirements: 'requirements.txt',
      files: [],
    });
  });

  test('has mean and std if, and only if, the network takes floats', () => {
    const defaults = {
      resize: 'stretch',
      interpolation: 'bicubic',
      antialias: true,
      channels: 'rgb',
    };
    const floats = readManifest(folderWith({ input: { ...imageInput, mean, std } }));
    expect(floats.input).toEqual({ ...imageInput, ...defaults, mean, std });
    const pixels = { ...imageInput, tensor: 'uint8-nhwc' };
    expect(readManifest(folderWith({ input: pixels })).input).toEqual({ ...pixels, ...defaults });
  });

  test('can use any syntax of YAML', () => {
    const yaml = `# A comment.\n${Object.entries(sampleManifest)
      .map(([key, value]) => `${key}: ${JSON.stringify(value)}`)
      .join('\n')}\ndevice:\n  type: cpu\n  threads: 2\n`;
    expect(readManifest(folderWith(yaml)).device.threads).toBe(2);
  });
});

describe('the sections of a manifest in docs/models.md', () => {
  const sections = readSnippets('docs/models.md').filter(({ code }) =>
    /^(input|output):/.test(code),
  );

  test('are there', () => expect(sections.length).toBeGreaterThan(5));

  test.each(sections.map(({ place, code }) => [place, code]))('are valid: %s', (_, code) => {
    const section = load(code) as Record<string, unknown>;
    const { error } = manifestSchema.safeParse({
      ...sampleManifest,
      example: undefined,
      ...section,
    });
    expect(error?.issues).toBeUndefined();
  });
});

describe('docs/manifest.md', () => {
  const page = readFileSync(path.join(packageDirectory(), 'docs/manifest.md'), 'utf8');

  /** Yields the names of all keys of a schema, whatever wraps it. */
  function* keysIn(schema: z.core.$ZodType): Generator<string> {
    const { def } = schema._zod as unknown as { def: Record<string, unknown> };
    for (const [key, field] of Object.entries(
      (def.shape ?? {}) as Record<string, z.core.$ZodType>,
    )) {
      yield key;
      yield* keysIn(field);
    }
    const inner = ['in', 'out', 'innerType', 'element', 'valueType'].map((part) => def[part]);
    const options = (def.options ?? []) as unknown[];
    for (const each of [...inner, ...options]) {
      if (each instanceof z.core.$ZodType) yield* keysIn(each);
    }
  }

  test('has every key that the schema has', () => {
    const schemas = [manifestSchema, scoresExampleSchema, tensorsExampleSchema];
    const keys = new Set(schemas.flatMap((schema) => [...keysIn(schema)]));
    expect(keys.size).toBeGreaterThan(80);
    const isThere = (key: string) =>
      new RegExp(`^(\\| \`(\\S+\\.)?${key}\`|## ${key}\\b)`, 'm').test(page);
    expect([...keys].filter((key) => !isThere(key))).toEqual([]);
  });
});

describe('a wrong manifest', () => {
  const { description: _, ...withoutDescription } = sampleManifest;
  const { version: __, ...withoutVersion } = sampleManifest;
  const { source, output } = sampleManifest;
  const declared = { name: 'in', datatype: 'FP32', shape: [-1] };

  /** Messages, without the file and the line, and what is wrong. */
  const wrong: Record<string, Record<string, unknown> | string> = {
    'batch.waitMs: expected less than deadlineMs, at which a request ends; got 1000': {
      batch: { max: 4, waitMs: 1000 },
      deadlineMs: 1000,
    },
    'device.threads: expected a number, at most 1024; got 1025': { device: { threads: 1025 } },
    'deadlineMs: expected a number; got NaN': `${JSON.stringify(sampleManifest).slice(0, -1)}, deadlineMs: .nan}`,
    'description: expected a text; got nothing': JSON.stringify(withoutDescription),
    'version: expected a text (in quotes) or a whole number; got nothing':
      JSON.stringify(withoutVersion),
    'source.engine: expected engine beside source, not in it; got "python"': {
      source: { ...sampleManifest.source, engine: 'python' },
    },
    'batch.size: expected one of the keys max, waitMs, dimension; got 3': {
      batch: { max: 2, size: 3 },
    },
    'scaling.schedule: expected workers <= max; got [{"from":"08:00","to":"18:00","timezone":"UTC","workers":3}]':
      {
        scaling: {
          max: 2,
          schedule: [{ from: '08:00', to: '18:00', timezone: 'UTC', workers: 3 }],
        },
      },
    'scaling.schedule.0.timezone: expected the name of a time zone, such as Europe/Berlin or UTC; got "+01:00"':
      {
        scaling: { schedule: [{ from: '08:00', to: '18:00', timezone: '+01:00', workers: 1 }] },
      },
    'description: expected a text; got 7': { description: 7 },
    'source.bytes: expected a number; got "many"': { source: { ...source, bytes: 'many' } },
    'engine: expected one of "onnx", "python"; got "pyhton"': { engine: 'pyhton' },
    'source.externalData: expected one of the keys engine, file, requirements, files; got []': {
      engine: 'python',
      source: { externalData: [] },
    },
    'device.type: expected cpu or cuda with engine: python, whose program uses the device by itself; got "webgpu"':
      { engine: 'python', source: undefined, device: 'webgpu' },
    'batch.max: expected a number, more than 0; got 0': { batch: { max: 0 } },
    'source.sha256: expected 64 hexadecimal digits; got "abc"': {
      source: { ...source, sha256: 'abc' },
    },
    ...Object.fromEntries(
      ['/etc/passwd', '../other/model.onnx', 'onnx/../../model.onnx', '..', ''].map((file) => [
        `source.file: expected a path inside the folder of the manifest, without ..; got "${file}"`,
        { source: { ...source, file } },
      ]),
    ),
    'source.externalData.0.file: expected a path inside the folder of the manifest, without ..; got "../weights.bin"':
      { source: { ...source, externalData: [{ ...source, file: '../weights.bin' }] } },
    'source.urls.0: expected a URL with http, https or pypi; got "file:///etc/passwd"': {
      source: { ...source, urls: ['file:///etc/passwd'] },
    },
    'name: expected letters, digits, ., _ and -, 63 at most, and a letter or digit first; got "Sample/1"':
      { name: 'Sample/1' },
    'name: expected another name: GET /v2/models/stats tells the statistics of all models; got "stats"':
      { name: 'stats' },
    'name: expected the name of its folder, sample; got other': { name: 'other' },
    'input.kind: expected another kind with engine: onnx; json and file need engine: python; got "json"':
      { input: { kind: 'json' } },
    'output.kind: expected another kind with engine: onnx; json and file need engine: python; got "json"':
      { output: { kind: 'json' }, example: undefined },
    'outputs.extra.kind: expected another kind with engine: onnx; json and file need engine: python; got "json"':
      { outputs: { extra: { kind: 'json' } } },
    'example.expected.json: expected none, since its output is not of the kind json; got 1': {
      example: { input: 'hello', expected: { label: 'cat', json: 1 } },
    },
    'input.kind: expected "text" or "image" or "table" or "json" or "file" or "tensors"; got "sound"':
      {
        input: { kind: 'sound' },
      },
    'output.kind: expected "ranking" or "classification" or "regression" or "embedding" or "json" or "tensors"; got "poem"':
      { output: { ...output, kind: 'poem' } },
    'output.kind: expected tensors for an input of the kind tensors; got "classification"': {
      input: { kind: 'tensors' },
      example: undefined,
    },
    'outputs: expected none for an input of the kind tensors, whose answers have all outputs; got {"age":{"kind":"regression"}}':
      {
        input: { kind: 'tensors' },
        output: { kind: 'tensors' },
        outputs: { age: { kind: 'regression' } },
        example: undefined,
      },
    'outputs.age.kind: expected "classification" or "regression" or "json" or "tensors"; got "ranking"':
      {
        outputs: { age: { kind: 'ranking' } },
      },
    'outputs.an age: expected a name of letters, digits, _ and -; got {"kind":"regression"}': {
      outputs: { 'an age': { kind: 'regression' } },
    },
    'output.activation: expected one of "none", "softmax", "sigmoid"; got "relu"': {
      output: { ...output, activation: 'relu' },
    },
    'output.threshold: expected a number, or one for each label; got "high"': {
      output: { ...output, threshold: 'high' },
    },
    'output.threshold: expected 0 to 1, as are the scores of softmax and sigmoid: 0.5 for an even chance, and not 50; got 50':
      { output: { ...output, activation: 'softmax', threshold: 50 } },
    'outputs.tags.threshold: expected 0 to 1, as are the scores of softmax and sigmoid: 0.5 for an even chance, and not 50; got [0.5,-1]':
      {
        outputs: {
          tags: {
            kind: 'classification',
            labels: 'tags.txt',
            activation: 'sigmoid',
            threshold: [0.5, -1],
          },
        },
      },
    'output.threshold: expected none, since its kind is ranking; got 0.5': {
      output: { kind: 'ranking', labels: 'questions.json', threshold: 0.5 },
    },
    'output.labels: expected the file with the questions and answers, since its kind is ranking; got nothing':
      { output: { kind: 'ranking' } },
    'output.kind: expected tensors with batch: none, since the outputs then have no row for each input; got "classification"':
      { batch: 'none' },
    'outputs: expected none with batch: none, whose answers have all outputs; got {"size":{"kind":"tensors"}}':
      {
        ...{ batch: 'none', output: { kind: 'tensors' }, outputs: { size: { kind: 'tensors' } } },
        example: undefined,
      },
    'network.inputs: expected each name once; got [{"name":"in","datatype":"FP32","shape":[-1]},{"name":"in","datatype":"FP32",...':
      { network: { inputs: [declared, declared], outputs: [declared] } },
    'network.inputs.0.shape.0: expected a number, -1 or more; got -2': {
      network: { inputs: [{ ...declared, shape: [-2] }], outputs: [declared] },
    },
    'network.inputs: expected a first dimension in each input, which counts items; without one, set batch: none; got [{"name":"in","datatype":"FP32","shape":[]}]':
      { network: { inputs: [{ ...declared, shape: [] }], outputs: [declared] } },
    'input.std: expected mean and std together; got nothing': { input: { ...imageInput, mean } },
    'input.mean: expected mean and std, or scale and offset, with float32-nchw. For pixels from 0 to 255 as floats, set scale: 1; got nothing':
      { input: imageInput },
    'input.mean: expected values from -1 to 1, since pixels are divided by 255 first. Divide the numbers by 255 as well if they are of pixels from 0 to 255; got [123.675,116.28,103.53]':
      { input: { ...imageInput, mean: [123.675, 116.28, 103.53], std } },
    'input.std: expected values up to 1, since pixels are divided by 255 first. Divide the numbers by 255 as well if they are of pixels from 0 to 255; got 58.395':
      { input: { ...imageInput, mean, std: 58.395 } },
    'input.mean: expected none with tensor uint8-nhwc, whose pixels stay as they are; got [0.5,0.5,0.5]':
      { input: { ...imageInput, tensor: 'uint8-nhwc', mean, std } },
    'input.offset: expected none with tensor uint8-nchw, whose pixels stay as they are; got 1': {
      input: { ...imageInput, tensor: 'uint8-nchw', offset: 1 },
    },
    'input.scale: expected mean and std, or scale and offset, but not both; got 2': {
      input: { ...imageInput, mean: 0, std: 1, scale: 2 },
    },
    'input.mean: expected one number, since channels is grey; got [0.5,0.5,0.5]': {
      input: { ...imageInput, channels: 'grey', mean, std: 1 },
    },
    'input.mean: expected a number, or a list of three: one for each channel, in the order of channels; got [0,0]':
      { input: { ...imageInput, mean: [0, 0], std: 1 } },
    'input.tensor: expected one of "uint8-nhwc", "uint8-nchw", "float32-nhwc", "float32-nchw", "float16-nhwc", "float16-nchw"; got "float64-nchw"':
      { input: { ...imageInput, tensor: 'float64-nchw' } },
    'input.channels: expected one of "rgb", "bgr", "grey"; got "gbr"': {
      input: { ...imageInput, scale: 1, channels: 'gbr' },
    },
    'input.resize: expected one of "stretch", "crop", "shorter-side", "letterbox"; got "fit"': {
      input: { ...imageInput, scale: 1, resize: 'fit' },
    },
    'input.shorterSide: expected a number with resize: shorter-side, and only there; got nothing': {
      input: { ...imageInput, scale: 1, resize: 'shorter-side' },
    },
    'input.shorterSide: expected at least width and height, which are cut out of it; got 2': {
      input: { ...imageInput, scale: 1, resize: 'shorter-side', shorterSide: 2 },
    },
    'input.cropFraction: expected none with resize: letterbox. A square that is cut out after resizing is shorterSide, such as 256 for a fraction of 0.875 and a side of 224; got 0.9':
      { input: { ...imageInput, scale: 1, resize: 'letterbox', cropFraction: 0.9 } },
    'input.padding: expected none without resize: letterbox; got 114': {
      input: { ...imageInput, scale: 1, padding: 114 },
    },
    'input.antialias: expected true, unless interpolation is bilinear; got false': {
      input: { ...imageInput, scale: 1, antialias: false },
    },
    'device.fallback: expected another device than type; got "cpu"': {
      device: { type: 'cpu', fallback: 'cpu' },
    },
    'device.fallback: expected "cpu"; got "webgpu"': {
      device: { type: 'cuda', fallback: 'webgpu' },
    },
    'device.type: expected one of "cpu", "cuda", "tensorrt", "webgpu", "coreml", "dml"; got "tpu"':
      {
        device: { type: 'tpu' },
      },
    'scaling: expected min <= max; got {"min":3,"max":2}': { scaling: { min: 3, max: 2 } },
    'version: expected quotes around this value, "010"; got 010, which YAML reads as 10':
      'name: sample\nversion: 010\n',
    'line 3: expected valid YAML; got: deficient indentation': 'name: sample\nversion: [1\n',
    'line 2: expected valid YAML; got: duplicated mapping key': 'name: sample\nname: sample\n',
    '(the whole file): expected an object; got [{"name":"sample"}]': '- name: sample\n',
    'line 1: expected valid YAML; got: expected a document, but the input is empty': '',
  };

  test('names the lines of its faults', () => {
    const { message } = errorOf(() => readManifest(folderWith(`name: 7\nbatch:\n  max: many\n`)));
    expect(message).toMatch(/model\.yaml: line 1: name: expected/);
    expect(message).toMatch(/model\.yaml: line 3: batch\.max: expected/);
    expect(message).toMatch(/model\.yaml: version: expected/);
  });

  test.each(Object.entries(wrong))('is refused: %s', (message, content) => {
    const folder = folderWith(content);
    const error = errorOf(() => readManifest(folder));
    expect(error.code).toBe('manifest_invalid');
    const said = error.message.replace(/: line \d+: (?!expected)/, ': ');
    expect(said).toBe(`${path.join(folder, 'model.yaml')}: ${message}`);
  });

  test('is refused with all of its faults at once', () => {
    const { message } = errorOf(() => readManifest(folderWith({ description: 7, deadlineMs: -1 })));
    expect(message).toContain('description: ');
    expect(message).toContain('deadlineMs: ');
  });

  test('is refused with a message that cuts long values', () => {
    const { message } = errorOf(() => readManifest(folderWith({ deadlineMs: 'x'.repeat(5000) })));
    expect(message.length).toBeLessThan(500);
  });

  test('that does not exist is refused with its path', () => {
    const folder = path.join(makeFolder({}), 'sample');
    expect(errorOf(() => readManifest(folder)).message).toBe(
      `${path.join(folder, 'model.yaml')}: expected a manifest; there is no such file`,
    );
  });
});

describe('a folder of models', () => {
  test('is listed in order of the names, without folders that have no manifest', () => {
    const folder = makeFolder({
      'b/model.yaml': { ...sampleManifest, name: 'b' },
      'a/model.yaml': { ...sampleManifest, name: 'a' },
      'notes/README.md': 'No model.',
      'notes/other.yaml': 'No manifest.',
      '.hidden/model.yaml': 'No model.',
      'labels.txt': 'No model either.',
    });
    symlinkSync(path.join(folder, 'a'), path.join(folder, 'c'));
    expect(listModels(folder)).toEqual(['a', 'b', 'c']);
  });

  test.each(['model.yml', 'Model.yaml', 'manifest.yaml', 'model.json'])(
    'lists a model whose manifest is named %s, and says what it should be named',
    (name) => {
      const folder = makeFolder({ [`sample/${name}`]: sampleManifest });
      expect(listModels(folder)).toEqual(['sample']);
      const error = errorOf(() => readManifest(path.join(folder, 'sample')));
      expect(error.code).toBe('manifest_invalid');
      expect(error.message).toBe(
        `${path.join(folder, 'sample/model.yaml')}: expected a manifest; got ${name} instead. Rename it`,
      );
    },
  );

  test('lists a model whose manifest cannot be read, and says why', () => {
    const folder = makeFolder({ 'sample/model.yaml/file': 'The manifest is a folder.' });
    expect(listModels(folder)).toEqual(['sample']);
    const error = errorOf(() => readManifest(path.join(folder, 'sample')));
    expect(error.message).toContain('expected a manifest; it cannot be read (EISDIR)');
  });

  test.each(['model.yaml', 'labels.txt'])('reads no device in the place of %s', (name) => {
    const files = { 'sample/model.yaml': sampleManifest, 'sample/labels.txt': sampleLabels };
    const directory = makeFolder(files);
    const place = path.join(directory, 'sample', name);
    rmSync(place);
    symlinkSync('/dev/null', place);
    const error = errorOf(() => readModels({ directory, filesNeeded: false }));
    expect(error.message).toContain(`sample/${name}`);
    expect(error.message).toContain('is a pipe, a device or a socket, and no file');
  });

  test('that cannot be read is reported as a fault of MODELS_DIR, with its path', () => {
    const folder = path.join(makeFolder({}), 'gone');
    const error = errorOf(() => listModels(folder));
    expect(error.code).toBe('configuration_invalid');
    expect(error.message).toContain('MODELS_DIR: expected a folder');
    expect(error.message).toContain(folder);
  });
});
