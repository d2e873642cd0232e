import { z } from 'zod';
import { ScorelineError } from '../../shared/errors.js';
import { type Tensor, toNumbers } from '../../shared/tensors/tensors.js';
import type { OutputKind } from './kind.js';

/** Answers with one number. */
export const regression: OutputKind = {
  writePredictions: (outputs) => JSON.stringify([{ value: readValue(outputs) }]),

  referenceTop: () => undefined,

  referenceResult: (results) =>
    JSON.stringify(
      Object.fromEntries(results.map(({ name, outputs }) => [name, readValue(outputs)])),
    ),

  form: {
    predictions: z
      .array(z.object({ value: z.number().describe('The number.') }))
      .length(1)
      .describe('The number that the model answers with.'),
    reference: z.record(z.string(), z.number()).describe('By name of the input: its number.'),
    codes: ['inputs_refused'],
  },
};

/**
 * Returns the number that the model answers to one row: the first output of floats.
 * @throws ScorelineError `inputs_refused` if it is not finite
 */
export function readValue(outputs: readonly Tensor[]): number {
  const output = outputs.find(({ datatype }) => datatype.startsWith('FP'));
  if (!output) throw new Error('A reply lacks the number of a regression. This is a bug.');
  const [value] = toNumbers(output);
  if (value !== undefined && Number.isFinite(value)) {
    // A float32 holds no more than eight digits: 0.1 and not 0.10000000149011612.
    return output.datatype === 'FP64' ? value : Number(value.toPrecision(8));
  }
  throw new ScorelineError(
    'inputs_refused',
    'Expected an input for which the model computes a finite number; got one for which it does not.',
  );
}
