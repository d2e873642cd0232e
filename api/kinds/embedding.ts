import { z } from 'zod';
import { ScorelineError } from '../../shared/errors.js';
import { embeddingName } from '../../shared/manifest/embedding.js';
import { type Tensor, toFloats } from '../../shared/tensors/tensors.js';
import type { OutputKind } from './kind.js';

const numbers = z
  .array(z.number())
  .describe('Numbers that place the input among others: near means alike.');

/** Answers with an embedding. */
export const embedding: OutputKind = {
  writePredictions: (outputs) => `[{"embedding":${writeNumbers(outputs)}}]`,

  referenceTop: () => undefined,

  referenceResult: (results) =>
    `{${results.map(({ name, outputs }) => `${JSON.stringify(name)}:${writeNumbers(outputs)}`)}}`,

  form: {
    predictions: z
      .array(z.object({ embedding: numbers }))
      .length(1)
      .describe('The embedding of the input.'),
    reference: z.record(z.string(), numbers).describe('By name of the input: its embedding.'),
    codes: ['inputs_refused'],
  },
};

/**
 * Returns the embedding that the model answers with to one row.
 * @throws ScorelineError `inputs_refused` if one of its numbers is not finite
 */
export function readEmbedding(outputs: readonly Tensor[]): Float32Array {
  const output = outputs.find(({ name }) => name === embeddingName);
  if (!output) throw new Error('A reply lacks the embedding. This is a bug.');
  const embedding = toFloats(output);
  if (embedding.every(Number.isFinite)) return embedding;
  throw new ScorelineError(
    'inputs_refused',
    'Expected an input whose embedding has finite numbers; got one for which the model computes others.',
  );
}

/** A float32 holds no more than eight digits. */
function writeNumbers(outputs: readonly Tensor[]): string {
  return JSON.stringify(
    Array.from(readEmbedding(outputs), (value) => Number(value.toPrecision(8))),
  );
}
