// JSON of any form for a Python program, and from one. It is passed on as it was written, as a BYTES tensor of shape [1]:
// JavaScript would round whole numbers beyond 2 ** 53, and write 1.0 as 1, which is another type in Python.

import { z } from 'zod';
import { ScorelineError } from '../../shared/errors.js';
import { scoresExampleOf } from '../../shared/manifest/example.js';
import { decodeStrings, encodeStrings, type Tensor } from '../../shared/tensors/tensors.js';
import { JsonText } from '../json-text.js';
import { parseGiven } from '../parse-json.js';
import { decodeText } from './charset.js';
import type { InputKind, OutputKind } from './kind.js';

/** `z.json()` refers to itself, and in the description its references would lead nowhere. */
const anyJson = z.unknown();

export const jsonInput: InputKind = {
  noun: 'JSON',
  mediaTypes: 'application/json',
  jsonOpening: null,
  codes: ['inputs_refused'],

  fromJson: (input) => [
    { name: 'input', value: input instanceof JsonText ? input.text : JSON.stringify(input) },
  ],

  fromBytes(bytes, { name, charset } = {}) {
    const value = decodeText(bytes, charset);
    parseGiven(value, 'Expected a file of JSON; it could not be parsed.');
    return { name, value };
  },

  prepare: ({ value }) => [
    { name: 'input', datatype: 'BYTES', shape: [1], data: encodeStrings([String(value)]) },
  ],

  describe({ manifest }) {
    const one = anyJson.describe('What the program takes.');
    const example = scoresExampleOf(manifest)?.input ?? {};
    return { one, several: one, example, mediaTypes: [] };
  },
};

/** Answers with the JSON that a program has returned. */
export const jsonOutput: OutputKind = {
  writePredictions: (outputs) => `[{"json":${readJson(outputs)}}]`,

  referenceTop: () => undefined,

  referenceResult: (results) =>
    `{${results.map(({ name, outputs }) => `${JSON.stringify(name)}:${readJson(outputs)}`)}}`,

  form: {
    predictions: z
      .array(z.object({ json: anyJson }))
      .length(1)
      .describe('What the program has returned.'),
    reference: z
      .record(z.string(), anyJson)
      .describe('By name of the input: what the program has returned.'),
    codes: ['inputs_refused', 'result_too_large'],
  },
};

/** An answer is in memory as a whole, several times. */
const jsonBytesMax = 33_554_432;

/**
 * Returns the JSON that a program has answered with to one input. The engine of Python programs has written it.
 * @throws ScorelineError `result_too_large`
 */
export function readJson(outputs: readonly Tensor[]): string {
  const output = outputs.find(({ datatype }) => datatype === 'BYTES');
  if (!output) throw new Error('A reply lacks the JSON of a program. This is a bug.');
  const { length } = output.data;
  if (length > jsonBytesMax) {
    throw new ScorelineError(
      'result_too_large',
      `Expected an answer of at most ${jsonBytesMax} bytes of JSON; the program returned ${length}. Have it answer with less, or with tensors, which /v2 sends as binary.`,
    );
  }
  return decodeStrings(output.data).join();
}
