// Compares the network that a manifest declares with the one in the file. The API goes by the
// declaration, because it never loads a model and must answer before a worker has.

import { ScorelineError } from '../../../shared/errors.js';
import type { DeclaredTensor } from '../../../shared/manifest/network.js';
import type { Model } from '../../../shared/registry/models.js';
import { isOpen, showValue } from '../../../shared/tensors/network.js';
import type { TensorValue, Values } from '../../engine/engine.js';

/**
 * Checks the declaration, if there is one. It must name all inputs. It may leave out outputs, may give a size to a
 * dimension that is open in the file, and may leave a size of an output open.
 * @throws ScorelineError `model_file_wrong`, with what was declared and what is in the file
 */
export function checkDeclared({ name, manifest }: Model, actual: Values): void {
  const { network, input } = manifest;
  const refuse = (place: string, expected: string): never => {
    throw new ScorelineError(
      'model_file_wrong',
      `${name}: network${place}: expected ${expected}. For this file, the manifest should have the line ${declareNetwork(actual)}`,
    );
  };
  if (!network) {
    if (input.kind === 'tensors' || input.kind === 'table') {
      refuse('', 'its inputs and outputs in the manifest; got none');
    }
    return;
  }
  for (const place of ['inputs', 'outputs'] as const) {
    for (const declared of network[place]) {
      const value = actual[place].find((candidate) => candidate.name === declared.name);
      if (!value || !isLike(declared, value, place)) {
        refuse(`.${place}`, `what the file has; got ${showValue(declared)}`);
      }
    }
  }
  if (network.inputs.length < actual.inputs.length) {
    refuse('.inputs', `each of the file's ${actual.inputs.length}; got ${network.inputs.length}`);
  }
}

/** Writes a network as the line of a manifest, without the values that are no tensors. */
export function declareNetwork({ inputs, outputs }: Values): string {
  return `network: { inputs: ${declare(inputs)}, outputs: ${declare(outputs)} }`;
}

function declare(values: readonly TensorValue[]): string {
  const entries = values
    .filter(({ datatype }) => datatype !== undefined)
    .map(({ name, datatype, shape }) => {
      const sizes = shape.map(declareSize).join(', ');
      return `{ name: ${JSON.stringify(name)}, datatype: ${datatype}, shape: [${sizes}] }`;
    });
  return `[${entries.join(', ')}]`;
}

/** A name in the file says that its dimension has one size in all inputs, so it is declared, too. */
function declareSize(size: number | string): string {
  if (!isOpen(size)) return String(size);
  if (typeof size !== 'string' || size === '') return '-1';
  const isPlain = /^[a-z_]\w*$/i.test(size) && !/^(true|false|null)$/i.test(size);
  return isPlain ? size : JSON.stringify(size);
}

function isLike(
  declared: DeclaredTensor,
  value: TensorValue,
  place: 'inputs' | 'outputs',
): boolean {
  if (declared.datatype !== value.datatype) return false;
  // ONNX Runtime does not hold a network to the shapes of its outputs; each run is compared with the manifest.
  const isOutput = place === 'outputs';
  if (declared.shape.length !== value.shape.length) return isOutput;
  return declared.shape.every(
    (size, at) => size === value.shape[at] || isOpen(value.shape[at]) || (isOutput && isOpen(size)),
  );
}
