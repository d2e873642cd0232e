// The command that asks a model for its example.

import path from 'node:path';
import { scoresExampleOf } from '../shared/manifest/example.js';
import type { Manifest } from '../shared/manifest/manifest.js';
import { sampleRow } from '../shared/manifest/table.js';
import type { Model } from '../shared/registry/models.js';
import { localAddress } from './addresses.js';

/** Says how a model that is now in the folder of models is served and asked. */
export function sayHowToAsk(model: Model, say: (line: string) => void): void {
  say('npm start serves it, and a service that runs takes it within seconds. Ask it with:');
  say(curlLine(localAddress, model));
}

/** Returns a command for a shell. `address` is the URL of the service. */
export function curlLine(address: string, model: Model): string {
  const { input } = model.manifest;
  const example = scoresExampleOf(model.manifest);
  if (input.kind === 'tensors') return inferLine(`${address}/v2/models/${model.name}`, model);
  const url = `${address}/v1/models/${model.name}/score`;
  if (input.kind === 'image' || input.kind === 'file') {
    const other = input.kind === 'image' ? 'picture.jpeg' : 'FILE';
    const file = example ? path.resolve(model.folder, String(example.input)) : other;
    return `  curl -s '${url}' -H 'Content-Type: ${mediaTypeOf(input, file)}' --data-binary '@${file}'`;
  }
  const sample = example?.input ?? sampleOf(input);
  const body = JSON.stringify({ input: sample }).replaceAll("'", "'\\''");
  return `  curl -s '${url}' -H 'Content-Type: application/json' -d '${body}'`;
}

function sampleOf(input: Exclude<Manifest['input'], { kind: 'image' | 'file' | 'tensors' }>) {
  if (input.kind === 'table') return sampleRow(input.columns);
  return input.kind === 'text' ? 'your text' : {};
}

/** Returns the content type with which a file is sent to a model. */
export function mediaTypeOf({ kind }: Pick<Manifest['input'], 'kind'>, file: string): string {
  if (kind !== 'image') return 'application/octet-stream';
  return `image/${path.extname(file).slice(1).toLowerCase().replace('jpg', 'jpeg')}`;
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
