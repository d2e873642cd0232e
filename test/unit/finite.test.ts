import { expect, test } from 'vitest';
import { embeddingName } from '../../shared/manifest/embedding.js';
import type { Manifest } from '../../shared/manifest/manifest.js';
import type { Tensor } from '../../shared/tensors/tensors.js';
import { isFiniteAnswer } from '../../worker/batch/outputs/finite.js';

const floats = (name: string, ...numbers: number[]): Tensor => ({
  name,
  datatype: 'FP32',
  shape: [1, numbers.length],
  data: new Uint8Array(Float32Array.from(numbers).buffer),
});
const doubles = (number: number): Tensor => ({
  name: 'double',
  datatype: 'FP64',
  shape: [1],
  data: new Uint8Array(Float64Array.of(number).buffer),
});

const withOutput = (output: object) => ({ output }) as Pick<Manifest, 'output'>;
const scores = withOutput({ kind: 'classification' });
const regression = withOutput({ kind: 'regression', tensor: 'b' });
const first = withOutput({ kind: 'regression' });
const embedding = withOutput({ kind: 'embedding' });
const tensors = withOutput({ kind: 'tensors' });

test.each([
  ['scores that were judged so', scores, undefined, false],
  ['scores that were judged sound', scores, [floats('a', 1)], true],
  ['the number', regression, [floats('a', 1), floats('b', Number.NaN)], false],
  ['another number', regression, [floats('a', Number.NaN), floats('b', 1)], true],
  ['the first number', first, [floats('a', Number.POSITIVE_INFINITY)], false],
  ['a double', first, [doubles(Number.NaN)], false],
  ['a large double', first, [doubles(1e200)], true],
  ['an embedding', embedding, [floats(embeddingName, 1, Number.NaN)], false],
  ['tensors', tensors, [floats('a', Number.NaN)], true],
] as const)('finite or not: %s', (_what, manifest, share, expected) => {
  expect(isFiniteAnswer(manifest, share)).toBe(expected);
});
