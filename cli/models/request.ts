// The request that asks a model for its example, for load through the real path.

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { toJson } from '../../api/inference/json-tensor.js';
import { scoresExampleOf } from '../../shared/manifest/example.js';
import { sampleRow } from '../../shared/manifest/table.js';
import type { Model } from '../../shared/registry/models.js';
import { exampleOrSample } from '../../worker/batch/inputs/sample.js';
import { mediaTypeOf } from '../curl-line.js';
import { wrong } from '../faults.js';

export interface ModelRequest {
  readonly pathname: string;
  readonly body: string | Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

/** A cached answer would be measured instead of the model. */
const uncached = { 'Cache-Control': 'no-store' };

/**
 * Makes the request of the example, or of a sample if the manifest has none.
 * @throws ScorelineError `configuration_invalid` if the model has neither
 */
export function exampleRequest(model: Model): ModelRequest {
  const { manifest, name, folder } = model;
  const { input, network, description } = manifest;
  const pathname = `/v1/models/${name}/score`;
  const example = scoresExampleOf(manifest)?.input;
  if (input.kind === 'tensors') {
    if (!network) throw wrong(`${name}: expected network in its manifest, to ask it with tensors`);
    const inputs = exampleOrSample(manifest).map(({ data, datatype, name: tensor, shape }) => {
      const head = JSON.stringify({ name: tensor, datatype, shape }).slice(0, -1);
      return `${head},"data":[${toJson(datatype, data)}]}`;
    });
    const body = `{"inputs":[${inputs.join(',')}]}`;
    return { pathname: `/v2/models/${name}/infer`, body, headers: uncached };
  }
  if (input.kind === 'image' || input.kind === 'file') {
    if (example === undefined) {
      const what = input.kind === 'image' ? 'a picture' : 'a file';
      throw wrong(
        `${name}: expected ${what} to ask with; its manifest has no example. Give it one`,
      );
    }
    const file = path.join(folder, String(example));
    const headers = { ...uncached, 'Content-Type': mediaTypeOf(input, file) };
    return { pathname, body: readFileSync(file), headers };
  }
  const sample =
    input.kind === 'table' ? sampleRow(input.columns) : input.kind === 'text' ? description : {};
  return { pathname, body: JSON.stringify({ input: example ?? sample }), headers: uncached };
}
