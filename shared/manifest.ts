// The manifest of a model, `models/<name>/model.yaml`. Everything that differs from model to model
// is in there and nowhere else, so adding a model means adding a folder.

import { z } from 'zod';
import { isInnerPath } from './inner-path.js';
import { scalingSchema } from './scaling.js';
import { datatypes } from './tensors.js';

const positive = z.number().int().positive();
const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'expected 64 hexadecimal digits');

const fileSchema = z.strictObject({
  file: z
    .string()
    .refine(isInnerPath, 'expected a path inside the folder of the manifest, without ..')
    .describe('The file, in the folder of the manifest.'),
  sha256,
  bytes: positive.describe('The size of the file.'),
  urls: z
    .array(z.url({ protocol: /^https?$/ }))
    .default([])
    .describe('Where `npm run models -- pull NAME` gets the file, tried in this order.'),
});

/** The ONNX file, and beside it the files to which it has moved its weights. */
const sourceSchema = fileSchema.extend({
  externalData: z
    .array(fileSchema)
    .default([])
    .describe('The files with the weights that the ONNX file keeps outside of itself.'),
});

const textInputSchema = z.strictObject({
  kind: z.literal('text'),
  charactersMax: positive.default(20_000),
  normalise: z
    .enum(['none', 'nfkc-quotes'])
    .default('none')
    .describe(
      'What the API does with a text before the model gets it. `nfkc-quotes`: Unicode NFKC, and typographic quotes and dashes become ASCII; for models that were trained on texts normalised like this.',
    ),
});

const channels = z.tuple([z.number(), z.number(), z.number()]);

const imageInputSchema = z
  .strictObject({
    kind: z.literal('image'),
    width: positive.max(4096),
    height: positive.max(4096),
    cropFraction: z
      .number()
      .gt(0)
      .max(1)
      .optional()
      .describe(
        'Before resizing, cut out the centred square whose side is this share of the shorter side. If unset, the whole image is stretched.',
      ),
    tensor: z
      .enum(['uint8-nhwc', 'float32-nchw'])
      .describe(
        'What the network takes: raw pixels, or floats, channel by channel, computed as (pixel / 255 - mean) / std.',
      ),
    mean: channels.optional(),
    std: channels
      .refine((std) => std.every((value) => value > 0), 'expected values above 0')
      .optional(),
  })
  .refine(
    (input) =>
      (input.mean !== undefined) === (input.tensor === 'float32-nchw') &&
      (input.std !== undefined) === (input.tensor === 'float32-nchw'),
    { path: ['mean'], message: 'expected mean and std with tensor float32-nchw, and only there' },
  );

const tensorsSchema = z.strictObject({ kind: z.literal('tensors') });

const scoresSchema = z.strictObject({
  kind: z.enum(['ranking', 'classification']),
  labels: z.string().describe('The file that names the classes, relative to the manifest.'),
  activation: z
    .enum(['none', 'softmax'])
    .default('none')
    .describe('`softmax` if the network outputs logits.'),
  known: z
    .string()
    .min(1)
    .optional()
    .describe(
      'The output of the network that says whether it knows anything of its input: a number for each row, 0 if it knows nothing. Answers then have the field `known`.',
    ),
  top: positive.default(3).describe('How many of the best classes an answer has by default.'),
});

const declaredTensorsSchema = z
  .array(
    z.strictObject({
      name: z.string().min(1),
      datatype: z.enum(datatypes),
      shape: z
        .array(
          z
            .number()
            .int()
            .min(-1)
            .max(2 ** 31 - 1),
        )
        .max(16)
        .describe('The sizes; -1 for one that varies.'),
    }),
  )
  .min(1)
  .refine((tensors) => new Set(tensors.map(({ name }) => name)).size === tensors.length, {
    message: 'expected each name once',
  });

const networkSchema = z.strictObject({
  inputs: declaredTensorsSchema,
  outputs: declaredTensorsSchema,
});

const batchSchema = z
  .strictObject({
    max: positive.max(1024).describe('The most items in one run of the model.'),
    waitMs: z
      .number()
      .nonnegative()
      .max(10_000)
      .default(0)
      .describe(
        'How long an idle engine waits for a batch to fill. Raising it makes batches larger and answers later.',
      ),
    dimension: z
      .enum(['first', 'none'])
      .default('first')
      .describe(
        'Which dimension of inputs and outputs counts items. With `none`, each request is a run of its own.',
      ),
  })
  .refine(({ max, dimension }) => max === 1 || dimension === 'first', {
    path: ['max'],
    message: 'expected 1, since a model without a batch dimension scores one item in a run',
  });

const wholeDeviceSchema = z.strictObject({
  type: z.enum(['cpu', 'cuda', 'tensorrt', 'webgpu', 'coreml', 'dml']),
  fallback: z
    .enum(['cpu'])
    .optional()
    .describe(
      'The device to use where ONNX Runtime cannot use `type`. If unset, the worker leaves the model out.',
    ),
  id: z.number().int().nonnegative().default(0).describe('The index of the GPU.'),
  memoryBytesMax: positive
    .optional()
    .describe('The most GPU memory that ONNX Runtime may take, in bytes (cuda only).'),
  threads: z
    .number()
    .int()
    .nonnegative()
    .default(0)
    .describe('CPU threads for one run. 0 means one for each core.'),
  memoryArena: z
    .boolean()
    .default(true)
    .describe(
      'Whether ONNX Runtime keeps CPU memory between runs. `true` is faster; `false` releases memory after peaks.',
    ),
});

const deviceSchema = wholeDeviceSchema.refine(({ type, fallback }) => type !== fallback, {
  path: ['fallback'],
  message: 'expected another device than type',
});

const wholeManifestSchema = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z0-9][a-z0-9.-]{0,62}$/, 'expected lower-case letters, digits, . and -'),
  version: z
    .union([z.string(), z.number().int()], 'expected a text (in quotes) or a whole number')
    .transform(String)
    .pipe(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/)),
  description: z.string(),
  source: sourceSchema,
  input: z.discriminatedUnion('kind', [textInputSchema, imageInputSchema, tensorsSchema]),
  output: z.discriminatedUnion('kind', [scoresSchema, tensorsSchema]),
  network: networkSchema
    .optional()
    .describe(
      'The inputs and outputs of the network, as clients of the Open Inference Protocol see them. `npm run models -- check NAME` prints them.',
    ),
  batch: z
    .preprocess((value) => (value === 'none' ? { max: 1, dimension: 'none' } : value), batchSchema)
    .prefault({ max: 32 }),
  device: z
    .preprocess((value) => (typeof value === 'string' ? { type: value } : value), deviceSchema)
    .prefault('cpu'),
  deadlineMs: positive.max(86_400_000).default(30_000),
  runMsMax: positive
    .max(3_600_000)
    .default(60_000)
    .describe('A run of the model that takes longer counts as hung, and its process is replaced.'),
  scaling: scalingSchema.prefault({}),
  example: z
    .strictObject({
      input: z
        .string()
        .describe('The text, or the path of the image file relative to the manifest.'),
      expected: z.strictObject({
        label: z.string().describe('The expected best class: the question, or the label.'),
        score: z
          .number()
          .min(0)
          .max(1)
          .optional()
          .describe('Its expected score. If unset, only the label is checked.'),
        tolerance: z.number().positive().default(0.001),
      }),
    })
    .optional()
    .describe('Used to warm the model up, to check it, and in the curl examples.'),
});

export const manifestSchema = wholeManifestSchema
  .refine(({ input, output }) => (input.kind === 'tensors') === (output.kind === 'tensors'), {
    path: ['output', 'kind'],
    message: 'expected tensors for an input of the kind tensors, and only there',
  })
  .refine(({ input, example }) => input.kind !== 'tensors' || example === undefined, {
    path: ['example'],
    message: 'expected none, since its input is of the kind tensors',
  })
  .refine(({ input, batch }) => input.kind === 'tensors' || batch.dimension === 'first', {
    path: ['batch'],
    message: 'expected a batch dimension, since its input is not of the kind tensors',
  })
  .refine(hasRows, {
    path: ['network', 'inputs'],
    message:
      'expected a first dimension in each input, which counts items; without one, set batch: none',
  });

function hasRows({ network, batch }: z.output<typeof wholeManifestSchema>): boolean {
  return (
    batch.dimension === 'none' || (network?.inputs ?? []).every(({ shape }) => shape.length > 0)
  );
}

export type Manifest = Readonly<z.output<typeof manifestSchema>>;
export type ImageInput = z.output<typeof imageInputSchema>;
/** The output of a model that scores labels. */
export type ScoresOutput = z.output<typeof scoresSchema>;
export type Network = z.output<typeof networkSchema>;
/** An input or output of the network, as the manifest declares it. */
export type DeclaredTensor = Network['inputs'][number];
export type Device = z.output<typeof deviceSchema>;
/** A file of a model, with what it must be. */
export type SourceFile = Readonly<z.output<typeof fileSchema>>;

/** Returns the output of a model that scores labels, where no other model can come. */
export function scoresOf({ name, output }: Manifest): ScoresOutput {
  if (output.kind !== 'tensors') return output;
  throw new Error(`Expected a model that scores labels; got ${name}. This is a bug.`);
}
