// Checks the answer of a model of the kind tensors to the example in its manifest.

import { numbersOf, toJson } from '../../api/inference/json-tensor.js';
import { ScorelineError } from '../../shared/errors.js';
import { exampleTensor } from '../../shared/manifest/example.js';
import type { DeclaredTensor } from '../../shared/manifest/network.js';
import type { Model } from '../../shared/registry/models.js';
import { showShape, showValue } from '../../shared/tensors/network.js';
import type { Tensor } from '../../shared/tensors/tensors.js';
import { exampleInputs } from '../../worker/batch/inputs/sample.js';
import type { Scorer } from '../../worker/batch/scorer.js';
import { wrongFile } from '../faults.js';

/**
 * Compares the answer to the example with the expected one, and describes it.
 * @throws ScorelineError `model_file_wrong`, or that of the run
 */
export async function checkTensorsExample(model: Model, scorer: Scorer): Promise<string> {
  const { name, manifest } = model;
  const { example, network } = manifest;
  const inputs = exampleInputs(manifest);
  if (!inputs || !network || !example || 'input' in example) {
    throw new Error('There is no example of tensors. This is a bug.');
  }
  const [result] = (await scorer.score([{ inputs }])).results;
  if (!result) throw new Error('No result. This is a bug.');
  if ('error' in result) {
    throw new ScorelineError(result.error.code, `${name}: example: ${result.error.detail}`);
  }
  if (!example.outputs) {
    return `answered with ${result.outputs.map(showValue).join(', ')}; no outputs to compare it with`;
  }
  for (const given of example.outputs) {
    const declared = network.outputs.find((value) => value.name === given.name) as DeclaredTensor;
    const expected = exampleTensor(declared, given);
    const got = result.outputs.find((output) => output.name === given.name) as Tensor;
    const difference = findDifference(expected, got, example.tolerance);
    if (difference === undefined) continue;
    throw wrongFile(`${name}: example: ${given.name}: ${difference}`);
  }
  return `${example.outputs.map(({ name: output }) => output).join(', ')} as expected`;
}

/** Says how a tensor differs from the expected one, or returns undefined. */
function findDifference(expected: Tensor, got: Tensor, tolerance: number): string | undefined {
  if (showShape(expected.shape) !== showShape(got.shape)) {
    return `expected the shape ${showShape(expected.shape)}; got ${showShape(got.shape)}`;
  }
  const { datatype } = expected;
  if (datatype === 'BYTES' || datatype === 'BOOL') {
    const [wanted, given] = [expected, got].map(({ data }) => toJson(datatype, data));
    return wanted === given ? undefined : `expected ${wanted}; got ${given}`;
  }
  const wanted = numbersOf(datatype, expected.data);
  const given = numbersOf(datatype, got.data);
  for (let at = 0; at < wanted.length; at++) {
    const [one, other] = [Number(wanted[at]), Number(given[at])];
    if (Object.is(one, other) || Math.abs(one - other) <= tolerance) continue;
    return `expected ${one} ± ${tolerance} at index ${at}; got ${other}`;
  }
  return undefined;
}
