// The command that asks a model for its example.

import path from 'node:path';
import { scoresExampleOf } from '../shared/manifest/example.js';
import { sampleRow } from '../shared/manifest/table.js';
import type { Model } from '../shared/registry/models.js';

/** Returns a command for a shell. `address` is the URL of the service. */
export function curlLine(address: string, model: Model): string {
  const { input } = model.manifest;
  const example = scoresExampleOf(model.manifest);
  if (input.kind === 'tensors') return `  curl -s '${address}/v2/models/${model.name}'`;
  if (input.kind === 'text' || input.kind === 'table') {
    const other = input.kind === 'text' ? 'your text' : sampleRow(input.columns);
    const body = JSON.stringify({ input: example?.input ?? other }).replaceAll("'", "'\\''");
    return `  curl -s '${address}/v1/models/${model.name}/score' -H 'Content-Type: application/json' -d '${body}'`;
  }
  const file = example ? path.resolve(model.folder, String(example.input)) : 'picture.jpeg';
  const type = path.extname(file).slice(1).replace('jpg', 'jpeg');
  return `  curl -s '${address}/v1/models/${model.name}/score' -H 'Content-Type: image/${type}' --data-binary '@${file}'`;
}
