import { expect, test } from 'vitest';
import { curlLine } from '../../cli/curl-line.js';
import type { Model } from '../../shared/registry/models.js';
import { makeSampleModel } from './sample-model.js';

const address = 'http://localhost:8080';

function lineFor(inputs: unknown[] | undefined): string {
  const sample = makeSampleModel();
  const network = inputs && { inputs, outputs: [] };
  const manifest = { ...sample.manifest, input: { kind: 'tensors' }, network };
  return curlLine(address, { ...sample, name: 'm', manifest } as unknown as Model);
}

test('a model of tensors is asked with its own inputs, each under its name', () => {
  const line = lineFor([
    { name: "km 'x'", datatype: 'FP32', shape: [-1, 2] },
    { name: 'city', datatype: 'BYTES', shape: ['N', 1] },
    { name: 'is new', datatype: 'BOOL', shape: [-1] },
  ]);
  const [, url, body = ''] = /^ {2}curl -s '([^']*)' .* -d '(.*)'$/.exec(line) ?? [];
  expect(url).toBe(`${address}/v2/models/m/infer`);
  expect(JSON.parse(body.replaceAll("'\\''", "'"))).toEqual({
    inputs: [
      { name: "km 'x'", datatype: 'FP32', shape: [1, 2], data: [1, 1] },
      { name: 'city', datatype: 'BYTES', shape: [1, 1], data: ['a'] },
      { name: 'is new', datatype: 'BOOL', shape: [1], data: [true] },
    ],
  });
});

test('a model of large tensors, or of ones that its manifest does not declare, is asked what it takes', () => {
  const picture = { name: 'picture', datatype: 'FP32', shape: [-1, 3, 224, 224] };
  for (const inputs of [[picture], undefined]) {
    expect(lineFor(inputs)).toBe(`  curl -s '${address}/v2/models/m'`);
  }
});
