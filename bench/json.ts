// `npm run bench -- json [--mebibytes N,…] [--rounds R]`
//
// How long the API's main thread takes to read tensors in JSON, during which it serves nobody else: from the
// bytes of the body to checked tensors, with the API's own code. `TENSOR_JSON_BYTES_MAX` bounds it.

import { parseInferJson } from '../api/inference/exact-json.js';
import { readInferRequest } from '../api/inference/infer-request.js';
import { decodeText } from '../api/kinds/charset.js';
import { makeTemporary } from '../cli/temporary.js';
import { findModel, type Model, readModels } from '../shared/registry/models.js';
import type { Datatype } from '../shared/tensors/tensors.js';
import { addEcho } from '../test/tensor-model.js';
import { median } from './load.js';
import { readOptions } from './options.js';
import { report } from './report.js';

interface Kind {
  readonly name: string;
  readonly datatype: Datatype;
  /** An element of the outer list. */
  readonly element: string;
}

const values = readOptions({
  mebibytes: [1, 4, 16],
  rounds: 5,
});
const sizes = values.mebibytes;
const kinds: readonly Kind[] = [
  { name: 'floats of 17 digits', datatype: 'FP64', element: '0.12345678901234567' },
  { name: 'one digit each', datatype: 'FP32', element: '7' },
  { name: 'whole numbers of 19 digits', datatype: 'INT64', element: '1234567890123456789' },
  // The API refuses shorter ones.
  { name: 'lists of one number each', datatype: 'FP32', element: '[0.25]' },
];

const directory = makeTemporary('models');
for (const datatype of new Set(kinds.map((kind) => kind.datatype))) {
  addEcho(directory, datatype, { shape: [-1, 1], changes: { batch: 'none' } });
}
const models = readModels({ directory, filesNeeded: true });
const rows = [];
const results: Record<string, number> = {};
for (const kind of kinds) {
  const model = findModel(models, `echo-${kind.datatype.toLowerCase()}`);
  const times = sizes.map((size) => measure(model, makeBody(kind, size * 1024 * 1024)));
  rows.push({
    tensor: kind.name,
    ...Object.fromEntries(times.map((ms, at) => [`${sizes[at]} MiB, ms`, Math.round(ms)])),
  });
  for (const [at, ms] of times.entries()) {
    results[`${kind.name.replaceAll(' ', '_')}_${sizes[at]}`] = ms;
  }
}
report('json', rows, results);

/** Returns the median time in milliseconds. */
function measure(model: Model, body: Buffer): number {
  const times = Array.from({ length: values.rounds }, () => {
    const startedAt = performance.now();
    const value = parseInferJson(decodeText(body));
    readInferRequest(value, Buffer.alloc(0), { model, rowsMax: Number.POSITIVE_INFINITY });
    return performance.now() - startedAt;
  });
  return median(times);
}

function makeBody({ datatype, element }: Kind, bytes: number): Buffer {
  const count = Math.floor(bytes / (element.length + 1));
  const data = new Array(count).fill(element).join();
  const head = JSON.stringify({ name: 'in', datatype, shape: [count, 1] });
  return Buffer.from(`{"inputs":[${head.slice(0, -1)},"data":[${data}]}]}`);
}
