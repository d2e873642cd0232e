// Makes a models folder for cases. A manifest is as a user would write it: with the line that the check
// prints for the network, and with the inputs of the case as its example.

import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { declareNetwork } from '../worker/batch/network/declared.js';
import type { Values } from '../worker/engine/engine.js';
import type { Case } from './cases.js';

/** Returns the name of a case's model. Names of models are short and have no underscores. */
export function modelNameOf({ name }: Case, index: number): string {
  return `${index}-${name
    .replace(/^test_/, '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')}`.slice(0, 60);
}

/** Adds a case's model to a models folder. */
export function addModel(
  directory: string,
  { name, values, each }: { name: string; values: Values | undefined; each: Case },
): void {
  const { file, inputs, reason } = each;
  const folder = path.join(directory, name);
  mkdirSync(folder, { recursive: true });
  copyFileSync(file, path.join(folder, 'model.onnx'));
  const bytes = readFileSync(file);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const taken = inputs.filter((input) => values?.inputs.some((value) => value.name === input.name));
  const example = taken.map(
    (input) =>
      `{ name: ${JSON.stringify(input.name)}, shape: [${input.shape}], data: ${quoteLong(input.json)} }`,
  );
  const isTensors =
    values && [...values.inputs, ...values.outputs].every(({ datatype }) => datatype);
  const lines = [
    `name: ${name}`,
    'version: 1',
    `description: ${JSON.stringify(each.name)}`,
    `source: { file: model.onnx, bytes: ${bytes.length}, sha256: ${sha256} }`,
    'input: { kind: tensors }',
    'output: { kind: tensors }',
    'batch: none',
    'device: { type: cpu, threads: 1 }',
    ...(isTensors && values.inputs.length > 0 ? [declareNetwork(values)] : []),
    ...(isTensors && reason === null && taken.length > 0
      ? [`example: { inputs: [${example}] }`]
      : []),
  ];
  writeFileSync(path.join(folder, 'model.yaml'), `${lines.join('\n')}\n`);
}

/** Quotes long whole numbers, which YAML would round. */
function quoteLong(json: string): string {
  return json.replaceAll(/(?<=[[, ])-?\d{16,}(?=[,\]])/g, '"$&"');
}
