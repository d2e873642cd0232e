// The command that asks a model for its example.

import path from 'node:path';
import { scoresExampleOf } from '../shared/manifest/example.js';
import { sampleRow } from '../shared/manifest/table.js';
import type { Model } from '../shared/registry/models.js';

/** Returns a command for a shell. `address` is the URL of the service. */
export function curlLine(address: string, model: Model): string {
  const { input } = model.manifest;
  const example = scoresExampleOf(model.manifest);
  if (input.kind === 'tensors') return inferLine(`${address}/v2/models/${model.name}`, model);
  if (input.kind === 'text' || input.kind === 'table') {
    const other = input.kind === 'text' ? 'your text' : sampleRow(input.columns);
    const body = JSON.stringify({ input: example?.input ?? other }).replaceAll("'", "'\\''");
    return `  curl -s '${address}/v1/models/${model.name}/score' -H 'Content-Type: application/json' -d '${body}'`;
  }
  const file = example ? path.resolve(model.folder, String(example.input)) : 'picture.jpeg';
  const type = path.extname(file).slice(1).replace('jpg', 'jpeg');
  return `  curl -s '${address}/v1/models/${model.name}/score' -H 'Content-Type: image/${type}' --data-binary '@${file}'`;
}

/** Longer inputs, such as pictures, fill the terminal. */
const elementsMax = 100;

/** Asks with ones, or the texts `a`. If the inputs are large or not declared, it asks what the model takes. */
function inferLine(url: string, { manifest: { network } }: Model): string {
  const inputs = network?.inputs.map(({ name, datatype, shape }) => {
    const sizes = shape.map((size) => (typeof size === 'number' && size > 0 ? size : 1));
    return { name, datatype, shape: sizes };
  });
  const counts = inputs?.map(({ shape }) => shape.reduce((product, size) => product * size, 1));
  if (!inputs || !counts?.every((count) => count <= elementsMax)) return `  curl -s '${url}'`;
  const filled = inputs.map((input, at) => ({
    ...input,
    data: Array<unknown>(counts[at] ?? 0).fill(ones[input.datatype] ?? 1),
  }));
  const body = JSON.stringify({ inputs: filled }).replaceAll("'", "'\\''");
  return `  curl -s '${url}/infer' -H 'Content-Type: application/json' -d '${body}'`;
}

const ones: Readonly<Record<string, unknown>> = { BYTES: 'a', BOOL: true };
