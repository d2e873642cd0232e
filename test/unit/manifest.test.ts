import { readFileSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { load } from 'js-yaml';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { scoresExampleSchema, tensorsExampleSchema } from '../../shared/manifest/example.js';
import { listModels, readManifest } from '../../shared/manifest/file.js';
import { manifestSchema } from '../../shared/manifest/manifest.js';
import { packageDirectory } from '../../shared/version.js';
import { readSnippets } from '../snippets.js';
import { errorOf, makeFolder, sampleManifest } from './sample-model.js';

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

  const wrong: {
    what: string;
    content: Record<string, unknown> | string;
    key: string;
    expected: string;
    got: string;
  }[] = [
    {
      what: 'a batch waits for as long as a request may take',
      content: { batch: { max: 4, waitMs: 1000 }, deadlineMs: 1000 },
      key: 'batch.waitMs',
      expected: 'expected less than deadlineMs',
      got: '1000',
    },
    {
      what: 'a run has more threads than any machine',
      content: { device: { threads: 1025 } },
      key: 'device.threads',
      expected: '1024',
      got: '1025',
    },
    {
      what: 'a number is none',
      content: `${JSON.stringify(sampleManifest).slice(0, -1)}, deadlineMs: .nan}`,
      key: 'deadlineMs',
      expected: 'expected number',
      got: 'NaN',
    },
    {
      what: 'a key is missing',
      content: JSON.stringify(withoutDescription),
      key: 'description',
      expected: 'expected string',
      got: 'nothing',
    },
    {
      what: 'the version is missing',
      content: JSON.stringify(withoutVersion),
      key: 'version',
      expected: 'expected a text (in quotes) or a whole number',
      got: 'nothing',
    },
    {
      what: 'a key is unknown',
      content: { colour: 'red' },
      key: 'colour',
      expected: 'Unrecognized key: "colour"',
      got: '"red"',
    },
    {
      what: 'a key inside a section is unknown',
      content: { batch: { max: 2, size: 3 } },
      key: 'batch.size',
      expected: 'Unrecognized key: "size"',
      got: '3',
    },
    {
      what: 'a warm time has more workers than there may be',
      content: {
        scaling: {
          max: 2,
          schedule: [{ from: '08:00', to: '18:00', timezone: 'UTC', workers: 3 }],
        },
      },
      key: 'scaling.schedule',
      expected: 'expected workers <= max',
      got: '[{"from":"08:00"',
    },
    {
      what: 'a warm time is in no time zone',
      content: {
        scaling: { schedule: [{ from: '08:00', to: '18:00', timezone: '+01:00', workers: 1 }] },
      },
      key: 'scaling.schedule.0.timezone',
      expected: 'expected the name of a time zone',
      got: '"+01:00"',
    },
    {
      what: 'a text is a number',
      content: { description: 7 },
      key: 'description',
      expected: 'expected string',
      got: '7',
    },
    {
      what: 'a number inside a section is a text',
      content: { source: { ...source, bytes: 'many' } },
      key: 'source.bytes',
      expected: 'expected number',
      got: '"many"',
    },
    {
      what: 'the engine is unknown',
      content: { engine: 'pyhton' },
      key: 'engine',
      expected: 'expected one of "onnx"|"python"',
      got: '"pyhton"',
    },
    {
      what: 'a Python program has the keys of an ONNX file',
      content: { engine: 'python', source: { externalData: [] } },
      key: 'source.externalData',
      expected: 'Unrecognized key',
      got: '[]',
    },
    {
      what: 'a Python program is to run on a device of ONNX Runtime',
      content: { engine: 'python', source: undefined, device: 'webgpu' },
      key: 'device.type',
      expected: 'expected cpu or cuda with engine: python',
      got: '"webgpu"',
    },
    {
      what: 'a number is out of range',
      content: { batch: { max: 0 } },
      key: 'batch.max',
      expected: 'expected number to be >0',
      got: '0',
    },
    {
      what: 'the SHA-256 is too short',
      content: { source: { ...source, sha256: 'abc' } },
      key: 'source.sha256',
      expected: 'expected 64 hexadecimal digits',
      got: '"abc"',
    },
    ...['/etc/passwd', '../other/model.onnx', 'onnx/../../model.onnx', '..', ''].map((file) => ({
      what: `the file is outside of the folder: ${file}`,
      content: { source: { ...source, file } },
      key: 'source.file',
      expected: 'expected a path inside the folder of the manifest, without ..',
      got: JSON.stringify(file),
    })),
    {
      what: 'external data is outside of the folder',
      content: { source: { ...source, externalData: [{ ...source, file: '../weights.bin' }] } },
      key: 'source.externalData.0.file',
      expected: 'expected a path inside the folder of the manifest, without ..',
      got: '"../weights.bin"',
    },
    {
      what: 'an address is not one of the web',
      content: { source: { ...source, urls: ['file:///etc/passwd'] } },
      key: 'source.urls.0',
      expected: 'Invalid URL',
      got: '"file:///etc/passwd"',
    },
    {
      what: 'the name has other letters',
      content: { name: 'Sample/1' },
      key: 'name',
      expected: 'expected letters, digits, ., _ and -',
      got: '"Sample/1"',
    },
    {
      what: 'the name is an address of its own',
      content: { name: 'stats' },
      key: 'name',
      expected: 'expected another name: GET /v2/models/stats',
      got: '"stats"',
    },
    {
      what: 'the name is not that of the folder',
      content: { name: 'other' },
      key: 'name',
      expected: 'expected the name of its folder, sample',
      got: 'other',
    },
    {
      what: 'the kind of input is unknown',
      content: { input: { kind: 'sound' } },
      key: 'input.kind',
      expected: 'expected "text" or "image" or "table" or "tensors"',
      got: '"sound"',
    },
    {
      what: 'the kind of output is unknown',
      content: { output: { ...output, kind: 'poem' } },
      key: 'output.kind',
      expected:
        'expected "ranking" or "classification" or "regression" or "embedding" or "tensors"',
      got: '"poem"',
    },
    {
      what: 'tensors are answered with labels',
      content: { input: { kind: 'tensors' }, example: undefined },
      key: 'output.kind',
      expected: 'expected tensors for an input of the kind tensors',
      got: '"classification"',
    },
    {
      what: 'tensors have further answers',
      content: {
        input: { kind: 'tensors' },
        output: { kind: 'tensors' },
        outputs: { age: { kind: 'regression' } },
        example: undefined,
      },
      key: 'outputs',
      expected: 'expected none for an input of the kind tensors',
      got: '{"age":',
    },
    {
      what: 'a further answer is of a kind that there is not',
      content: { outputs: { age: { kind: 'ranking' } } },
      key: 'outputs.age.kind',
      expected: 'expected ',
      got: '"ranking"',
    },
    {
      what: 'a further answer has a name that is no word',
      content: { outputs: { 'an age': { kind: 'regression' } } },
      key: 'outputs.an age',
      expected: 'expected a name of letters, digits, _ and -',
      got: '{"kind":"regression"}',
    },
    {
      what: 'the activation is unknown',
      content: { output: { ...output, activation: 'relu' } },
      key: 'output.activation',
      expected: 'expected one of "none"|"softmax"|"sigmoid"',
      got: '"relu"',
    },
    {
      what: 'a threshold is no number',
      content: { output: { ...output, threshold: 'high' } },
      key: 'output.threshold',
      expected: 'expected a number, or one for each label',
      got: '"high"',
    },
    {
      what: 'no score of a softmax can have the threshold',
      content: { output: { ...output, activation: 'softmax', threshold: 50 } },
      key: 'output.threshold',
      expected: 'expected 0 to 1, as are the scores of softmax and sigmoid',
      got: '50',
    },
    {
      what: 'every score of a sigmoid has one of the thresholds',
      content: {
        outputs: {
          tags: {
            kind: 'classification',
            labels: 'tags.txt',
            activation: 'sigmoid',
            threshold: [0.5, -1],
          },
        },
      },
      key: 'outputs.tags.threshold',
      expected: 'expected 0 to 1, as are the scores of softmax and sigmoid',
      got: '[0.5,-1]',
    },
    {
      what: 'a ranking has a threshold',
      content: { output: { kind: 'ranking', labels: 'questions.json', threshold: 0.5 } },
      key: 'output.threshold',
      expected: 'expected none, since its kind is ranking',
      got: '0.5',
    },
    {
      what: 'a ranking has no questions',
      content: { output: { kind: 'ranking' } },
      key: 'output.labels',
      expected: 'expected the file with the questions and answers',
      got: 'nothing',
    },
    {
      what: 'a text has no batch dimension',
      content: { batch: 'none' },
      key: 'batch',
      expected: 'expected a batch dimension, since its input is not of the kind tensors',
      got: '"none"',
    },
    {
      what: 'an input is declared twice',
      content: { network: { inputs: [declared, declared], outputs: [declared] } },
      key: 'network.inputs',
      expected: 'expected each name once',
      got: '"name":"in"',
    },
    {
      what: 'a declared size is negative',
      content: { network: { inputs: [{ ...declared, shape: [-2] }], outputs: [declared] } },
      key: 'network.inputs.0.shape.0',
      expected: 'expected number to be >=-1',
      got: '-2',
    },
    {
      what: 'a declared input has no rows',
      content: { network: { inputs: [{ ...declared, shape: [] }], outputs: [declared] } },
      key: 'network.inputs',
      expected: 'expected a first dimension in each input, which counts items',
      got: '"name":"in"',
    },
    {
      what: 'mean stands without std',
      content: { input: { ...imageInput, mean } },
      key: 'input.std',
      expected: 'expected mean and std together',
      got: 'nothing',
    },
    {
      what: 'floats come without mean and std',
      content: { input: imageInput },
      key: 'input.mean',
      expected:
        'expected mean and std, or scale and offset, with float32-nchw. For pixels from 0 to 255 as floats, set scale: 1',
      got: 'nothing',
    },
    {
      what: 'the mean is that of pixels from 0 to 255',
      content: { input: { ...imageInput, mean: [123.675, 116.28, 103.53], std } },
      key: 'input.mean',
      expected: 'expected values from -1 to 1, since pixels are divided by 255 first',
      got: '[123.675,116.28,103.53]',
    },
    {
      what: 'the standard deviation is that of pixels from 0 to 255',
      content: { input: { ...imageInput, mean, std: 58.395 } },
      key: 'input.std',
      expected: 'expected values up to 1, since pixels are divided by 255 first',
      got: '58.395',
    },
    {
      what: 'pixels come with mean and std',
      content: { input: { ...imageInput, tensor: 'uint8-nhwc', mean, std } },
      key: 'input.mean',
      expected: 'expected none with tensor uint8-nhwc, whose pixels stay as they are',
      got: '[',
    },
    {
      what: 'pixels come with an offset',
      content: { input: { ...imageInput, tensor: 'uint8-nchw', offset: 1 } },
      key: 'input.offset',
      expected: 'expected none with tensor uint8-nchw',
      got: '1',
    },
    {
      what: 'floats are scaled in two ways',
      content: { input: { ...imageInput, mean: 0, std: 1, scale: 2 } },
      key: 'input.scale',
      expected: 'expected mean and std, or scale and offset, but not both',
      got: '2',
    },
    {
      what: 'the only channel has three means',
      content: { input: { ...imageInput, channels: 'grey', mean, std: 1 } },
      key: 'input.mean',
      expected: 'expected one number, since channels is grey',
      got: '[',
    },
    {
      what: 'two channels have a mean',
      content: { input: { ...imageInput, mean: [0, 0], std: 1 } },
      key: 'input.mean',
      expected: 'expected a number, or a list of three',
      got: '[0,0]',
    },
    {
      what: 'the layout is unknown',
      content: { input: { ...imageInput, tensor: 'float64-nchw' } },
      key: 'input.tensor',
      expected: 'expected one of "uint8-nhwc"|"uint8-nchw"|"float32-nhwc"',
      got: '"float64-nchw"',
    },
    {
      what: 'the order of the channels is unknown',
      content: { input: { ...imageInput, scale: 1, channels: 'gbr' } },
      key: 'input.channels',
      expected: 'expected one of "rgb"|"bgr"|"grey"',
      got: '"gbr"',
    },
    {
      what: 'the way to resize is unknown',
      content: { input: { ...imageInput, scale: 1, resize: 'fit' } },
      key: 'input.resize',
      expected: 'expected one of "stretch"|"crop"|"shorter-side"|"letterbox"',
      got: '"fit"',
    },
    {
      what: 'the shorter side has no length',
      content: { input: { ...imageInput, scale: 1, resize: 'shorter-side' } },
      key: 'input.shorterSide',
      expected: 'expected a number with resize: shorter-side, and only there',
      got: 'nothing',
    },
    {
      what: 'the shorter side is shorter than the network needs',
      content: { input: { ...imageInput, scale: 1, resize: 'shorter-side', shorterSide: 2 } },
      key: 'input.shorterSide',
      expected: 'expected at least width and height',
      got: '2',
    },
    {
      what: 'a fraction is cropped before another way to resize than stretching',
      content: { input: { ...imageInput, scale: 1, resize: 'letterbox', cropFraction: 0.9 } },
      key: 'input.cropFraction',
      expected: 'expected none with resize: letterbox',
      got: '0.9',
    },
    {
      what: 'nothing is padded',
      content: { input: { ...imageInput, scale: 1, padding: 114 } },
      key: 'input.padding',
      expected: 'expected none without resize: letterbox',
      got: '114',
    },
    {
      what: 'a filter cannot do without antialiasing',
      content: { input: { ...imageInput, scale: 1, antialias: false } },
      key: 'input.antialias',
      expected: 'expected true, unless interpolation is bilinear',
      got: 'false',
    },
    {
      what: 'the device is its own fallback',
      content: { device: { type: 'cpu', fallback: 'cpu' } },
      key: 'device.fallback',
      expected: 'expected another device than type',
      got: '"cpu"',
    },
    {
      what: 'the fallback is no CPU',
      content: { device: { type: 'cuda', fallback: 'webgpu' } },
      key: 'device.fallback',
      expected: 'expected "cpu"',
      got: '"webgpu"',
    },
    {
      what: 'the device is unknown',
      content: { device: { type: 'tpu' } },
      key: 'device.type',
      expected: 'expected one of "cpu"|"cuda"',
      got: '"tpu"',
    },
    {
      what: 'a model may have fewer workers at most than at least',
      content: { scaling: { min: 3, max: 2 } },
      key: 'scaling',
      expected: 'expected min <= max',
      got: '{"min":3,"max":2}',
    },
    {
      what: 'YAML reads another version than is written',
      content: 'name: sample\nversion: 010\n',
      key: 'version',
      expected: 'expected quotes around this value, "010"',
      got: '010, which YAML reads as 10',
    },
    {
      what: 'the YAML is bad',
      content: 'name: sample\nversion: [1\n',
      key: 'line 3',
      expected: 'expected valid YAML',
      got: '',
    },
    {
      what: 'a key is there twice',
      content: 'name: sample\nname: sample\n',
      key: 'line 2',
      expected: 'expected valid YAML',
      got: 'duplicated mapping key',
    },
    {
      what: 'the file is a list',
      content: '- name: sample\n',
      key: '(the whole file)',
      expected: 'expected object',
      got: '[{"name":"sample"}]',
    },
    {
      what: 'the file is empty',
      content: '',
      key: 'line 1',
      expected: 'expected valid YAML',
      got: '',
    },
  ];

  test('names the lines of its faults', () => {
    const { message } = errorOf(() => readManifest(folderWith(`name: 7\nbatch:\n  max: many\n`)));
    expect(message).toMatch(/model\.yaml: line 1: name: expected/);
    expect(message).toMatch(/model\.yaml: line 3: batch\.max: expected/);
    expect(message).toMatch(/model\.yaml: version: expected/);
  });

  test.each(wrong)('is refused with its file, key, expectation and value when $what', (fault) => {
    const folder = folderWith(fault.content);
    const file = path.join(folder, 'model.yaml');
    const error = errorOf(() => readManifest(folder));
    expect(error.code).toBe('manifest_invalid');
    const place = error.message.replace(/: line \d+: (?!expected)/, ': ');
    expect(place.startsWith(`${file}: ${fault.key}: `), error.message).toBe(true);
    expect(error.message).toContain(fault.expected);
    expect(error.message).toMatch(/got:? /);
    expect(error.message.slice(error.message.indexOf('got') + 3)).toContain(fault.got);
    expect(error.message.split('\n')).toHaveLength(1);
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

  test('that cannot be read is reported as a fault of MODELS_DIR, with its path', () => {
    const folder = path.join(makeFolder({}), 'gone');
    const error = errorOf(() => listModels(folder));
    expect(error.code).toBe('configuration_invalid');
    expect(error.message).toContain('MODELS_DIR: expected a folder');
    expect(error.message).toContain(folder);
  });
});
