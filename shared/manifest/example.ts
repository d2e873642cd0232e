// The example and the samples of a model: inputs that its manifest gives, and the answer to the example.

import { z } from 'zod';
import { coerceError } from '../errors.js';
import { fromJson } from '../tensors/json-elements.js';
import { showValue, takesTensor } from '../tensors/network.js';
import type { Tensor } from '../tensors/tensors.js';
import type { embeddingSchema } from './embedding.js';
import { type DeclaredTensor, type Network, sizeSchema } from './network.js';
import { type ScoresOutput, scoresClasses } from './output.js';

const rowSchema = z.record(z.string(), z.union([z.number(), z.string(), z.null()]));

export const scoresExampleSchema = z.strictObject({
  input: z
    .json()
    .describe(
      'A text, the path of a picture or another file relative to the manifest, the row of a table, or JSON.',
    ),
  expected: z
    .strictObject({
      label: z
        .string()
        .optional()
        .describe(
          'The label of the best class for this input; for a ranking, the question. Required for a model with classes, and only there.',
        ),
      value: z
        .number()
        .optional()
        .describe('The number for this input. Required for a regression, and only there.'),
      embedding: z
        .array(z.number())
        .min(1)
        .optional()
        .describe(
          'The first numbers of the embedding of this input, one or more. Required for an embedding, and only there.',
        ),
      json: z
        .json()
        .optional()
        .describe(
          'The JSON that the program answers with to this input. If unset, only that it answers is checked.',
        ),
      score: z
        .number()
        .min(0)
        .max(1)
        .optional()
        .describe('The score of the best class. If unset, only the label is checked.'),
      tolerance: z
        .number()
        .positive()
        .default(0.001)
        .describe('How far the score or the number may differ.'),
    })
    .prefault({})
    .describe('What the model should answer.'),
});

const elementsSchema = z
  .array(
    z.strictObject({
      name: z.string().describe('The name of the input or output.'),
      shape: z
        .array(sizeSchema.nonnegative())
        .max(16)
        .describe('Its sizes: one row, or the whole input with `batch: none`.'),
      data: z
        .unknown()
        .describe(
          'The elements, flat or nested, as in a JSON request of the Open Inference Protocol. `"NaN"` and whole numbers beyond 2^53 are in quotes.',
        ),
    }),
  )
  .min(1);

export const tensorsExampleSchema = z.strictObject({
  inputs: elementsSchema.describe('A value for each input of the network.'),
  outputs: elementsSchema
    .optional()
    .describe('What the network should answer. If unset, only that it answers is checked.'),
  tolerance: z
    .number()
    .nonnegative()
    .default(0.001)
    .describe('How far a number of an output may differ.'),
});

/** Each kind has a schema of its own, so faults are named and not those of the other kind. */
export const exampleSchema = z.unknown().transform((value, context) => {
  const isOfTensors = typeof value === 'object' && value !== null && 'inputs' in value;
  const parsed = (isOfTensors ? tensorsExampleSchema : scoresExampleSchema).safeParse(value);
  if (parsed.success) return parsed.data;
  for (const issue of parsed.error.issues) {
    context.issues.push({ ...issue, input: value } as z.core.$ZodRawIssue);
  }
  return z.NEVER;
});

export const samplesSchema = z.array(z.json()).max(20);

/** An example of one input, with the label or the number that is expected. */
export type ScoresExample = z.output<typeof scoresExampleSchema>;
/** An example of the kind tensors. */
export type TensorsExample = z.output<typeof tensorsExampleSchema>;
type ExampleTensor = TensorsExample['inputs'][number];

/** The parts of a manifest that its example and samples must fit. */
interface Exemplified {
  readonly input: { readonly kind: 'text' | 'image' | 'table' | 'json' | 'file' | 'tensors' };
  readonly output:
    | z.output<typeof embeddingSchema>
    | { readonly kind: ScoresOutput['kind'] | 'regression' | 'json' | 'tensors' };
  readonly network?: Network | undefined;
  readonly batch: { readonly dimension: 'first' | 'none' };
  readonly example?: z.output<typeof exampleSchema> | undefined;
  readonly samples?: z.output<typeof samplesSchema> | undefined;
}

type Complain = (message: string, ...place: (string | number)[]) => void;

/** Names what is wrong with the example, if it has another form than the input or does not fit the network. */
export function checkExample(manifest: Exemplified, context: z.core.$RefinementCtx): void {
  const { input, network, example } = manifest;
  if (example === undefined || (network === undefined && input.kind === 'tensors')) return;
  const complain: Complain = (message, ...place) =>
    context.addIssue({ code: 'custom', path: ['example', ...place], message, input: undefined });
  if ('input' in example) checkScoresExample(manifest, example, complain);
  else checkTensorsExample(manifest, example, complain);
}

/** Names the samples that have another form than the input. */
export function checkSamples(
  { input, samples = [] }: Exemplified,
  context: z.core.$RefinementCtx,
): void {
  for (const [at, sample] of samples.entries()) {
    const hasSamples = input.kind !== 'image' && input.kind !== 'file';
    if (hasSamples && sample !== '' && !faultOfInput(input.kind, sample)) continue;
    const message = `expected samples for texts, tables and JSON only, in the form of the input; the input is of the kind ${input.kind}`;
    context.addIssue({ code: 'custom', path: ['samples', at], message, input: sample });
  }
}

/** Says what was expected of the input of an example, if it has another form. */
function faultOfInput(kind: Exemplified['input']['kind'], input: unknown): string | undefined {
  if (kind === 'json') return undefined;
  if (kind === 'table') {
    return rowSchema.safeParse(input).success
      ? undefined
      : 'expected a value for each column, a number, a text or null, since its input is a table';
  }
  if (kind !== 'tensors' && typeof input === 'string') return undefined;
  return kind === 'text'
    ? 'expected a text'
    : 'expected the path of a file, relative to the manifest';
}

function checkScoresExample(
  { input, output }: Exemplified,
  example: ScoresExample,
  complain: Complain,
): void {
  if (input.kind === 'tensors') {
    complain('expected inputs, since its input is of the kind tensors');
    return;
  }
  const fault = faultOfInput(input.kind, example.input);
  if (fault) complain(fault, 'input');
  const { label, value, embedding, json } = example.expected;
  if (scoresClasses(output) === (label === undefined)) {
    complain(
      'expected the label of the best class if its output has classes, and only then',
      'expected',
      'label',
    );
  }
  if ((output.kind === 'regression') !== (value !== undefined)) {
    complain('expected a number if its output is a regression, and only then', 'expected', 'value');
  }
  if (json !== undefined && output.kind !== 'json') {
    complain('expected none, since its output is not of the kind json', 'expected', 'json');
  }
  const numbersMax = output.kind === 'embedding' ? output.dimension : 0;
  if (output.kind === 'embedding' ? !embedding : embedding) {
    complain(
      'expected numbers if its output is an embedding, and only then',
      'expected',
      'embedding',
    );
  } else if ((embedding?.length ?? 0) > numbersMax) {
    complain(`expected at most ${numbersMax} numbers`, 'expected', 'embedding');
  }
}

function checkTensorsExample(
  { input, network, batch }: Exemplified,
  example: TensorsExample,
  complain: Complain,
): void {
  if (input.kind !== 'tensors') {
    complain('expected input and expected, since its input is not of the kind tensors');
    return;
  }
  for (const place of ['inputs', 'outputs'] as const) {
    for (const [at, given] of (example[place] ?? []).entries()) {
      const fault = findFault(network?.[place] ?? [], given);
      if (fault) complain(fault, place, at);
    }
  }
  const names = new Set(example.inputs.map(({ name }) => name));
  const missing = network?.inputs.find(({ name }) => !names.has(name));
  if (missing) complain(`expected ${showValue(missing)}, too`, 'inputs');
  if (names.size < example.inputs.length) complain('expected each name once', 'inputs');
  const isRow = example.inputs.every(({ shape: [rows] }) => rows === 1);
  if (batch.dimension === 'first' && !isRow) {
    complain('expected one row: 1 as the first size of each shape', 'inputs');
  }
}

function findFault(values: readonly DeclaredTensor[], given: ExampleTensor): string | undefined {
  const value = values.find(({ name }) => name === given.name);
  if (!value) return `expected one of ${values.map(showValue).join(', ')}`;
  try {
    const tensor = exampleTensor(value, given);
    return takesTensor(value, tensor) ? undefined : `expected ${showValue(value)}`;
  } catch (thrown) {
    return coerceError(thrown).message;
  }
}

/**
 * Makes a tensor of an example.
 * @throws ScorelineError `tensor_invalid`
 */
export function exampleTensor({ datatype }: DeclaredTensor, given: ExampleTensor): Tensor {
  const head = { name: given.name, datatype, shape: given.shape };
  return { ...head, data: fromJson(head, given.data) };
}

/** Returns the example of a model that takes one input, if there is one. */
export function scoresExampleOf({
  example,
}: Pick<Exemplified, 'example'>): ScoresExample | undefined {
  return example && 'input' in example ? example : undefined;
}
