import { expect, test } from 'vitest';
import { doAgree } from '../../api/versions/agreement.js';
import { addHead } from '../../shared/manifest/heads.js';
import { makeRankedOutputs } from '../../shared/tensors/scores.js';
import { encodeStrings, type Tensor } from '../../shared/tensors/tensors.js';
import { makeSampleModel } from './sample-model.js';

const further = (best: number) => addHead({ name: 'long' }, makeRankedOutputs([best], [0.5, 0.5]));
const json = (text: string): Tensor => ({
  ...{ name: 'json', datatype: 'BYTES', shape: [1] },
  data: encodeStrings([text]),
});
const number = (value: number): Tensor => ({
  ...{ name: 'value', datatype: 'FP32', shape: [1] },
  data: Buffer.from(Float32Array.of(value).buffer),
});

test.each([
  ['json', json('{"a":1}'), json('{"a":1}'), json('{"a":2}')],
  ['json', json('{"a":1,"b":[0.5]}'), json('{"b":[0.501],"a":1.0}'), json('{"a":1,"b":[0.52]}')],
  ['json', json('[1920.5,0.3]'), json('[1921.5,0.3]'), json('[1920.5,0.4]')],
  ['json', json('[1041,1042]'), json('[1041,1042.0]'), json('[1042,1041]')],
  ['json', json('9007199254740993'), json('9007199254740993'), json('9007199254740992')],
  ['json', json('{"a":null}'), json('{"a":null}'), json('{"b":null}')],
  ['json', json('[[],""]'), json('[[],""]'), json('[{},""]')],
  ['regression', number(100), number(100.5), number(102)],
])('answers of the kind %s are compared beside further answers', (kind, own, same, different) => {
  const sample = makeSampleModel();
  const model = { ...sample, manifest: { ...sample.manifest, output: { kind } } } as typeof sample;
  const agrees = (other: Tensor) =>
    doAgree(model, [own, ...further(0)], model, [other, ...further(1)], { top: 1 });
  expect(agrees(same)).toBe(true);
  expect(agrees(different)).toBe(false);
});
