// The adapter of a model turns the inputs of items into the network's inputs. One file for each
// kind.

import { ScorelineError } from '../../../shared/errors.js';
import type { Manifest } from '../../../shared/manifest/manifest.js';
import { isOpen, takesSize } from '../../../shared/tensors/network.js';
import type { Tensor } from '../../../shared/tensors/tensors.js';
import type { TensorValue } from '../../engine/engine.js';
import { type Adapter, UnfitNetwork } from '../network/network.js';
import { makeImageAdapter } from './images.js';
import { makeTensorsAdapter, makeWholeTensorsAdapter } from './named.js';
import { makeTextAdapter } from './texts.js';

/** The parts of a model that an adapter must know. */
export interface AdaptedModel {
  readonly name: string;
  readonly inputs: readonly TensorValue[];
  readonly batch: Pick<Manifest['batch'], 'max' | 'dimension'>;
}

/**
 * Makes the adapter for a kind of input.
 * @throws ScorelineError `model_file_wrong` if the network's inputs do not match the manifest
 */
export function makeAdapter(kind: Manifest['input'], model: AdaptedModel): Adapter {
  try {
    if (model.batch.dimension === 'first') return makeBatching(kind, model);
    if (kind.kind === 'tensors') return makeWholeTensorsAdapter(model.inputs);
    const isPicture = kind.kind === 'image' && model.inputs[0]?.shape.length === 3;
    if (!isPicture) return makeBatching(kind, model);
    return withoutRows(makeBatching(kind, { ...model, inputs: model.inputs.map(widen) }));
  } catch (thrown) {
    if (!(thrown instanceof UnfitNetwork)) throw thrown;
    throw new ScorelineError('model_file_wrong', `${model.name}: ${thrown.message}`);
  }
}

function makeBatching(kind: Manifest['input'], model: AdaptedModel): Adapter {
  const adapter = makeForKind(kind, model.inputs);
  checkBatch(kind, model);
  return adapter;
}

/** Makes the adapter of a network that takes one picture, without a dimension that counts pictures. */
function withoutRows({ countRows, stack }: Adapter): Adapter {
  const widenAll = (inputs: readonly Tensor[]) =>
    inputs.map((tensor) => (tensor.shape.length === 3 ? widen(tensor) : tensor));
  return {
    countRows: (inputs) => countRows(widenAll(inputs)),
    stack: (items) =>
      stack(items.map(widenAll)).map((tensor) => ({ ...tensor, shape: tensor.shape.slice(1) })),
  };
}

/** Adds a first dimension that counts rows. */
function widen<T extends { readonly shape: readonly (number | string)[] }>(value: T): T {
  return { ...value, shape: [1, ...value.shape] };
}

/** Whether an input of the kind is one string: a text, JSON, or the bytes of a file. */
export function takesStrings(
  input: Manifest['input'],
): input is Extract<Manifest['input'], { kind: 'text' | 'json' | 'file' }> {
  return input.kind === 'text' || input.kind === 'json' || input.kind === 'file';
}

function makeForKind(kind: Manifest['input'], inputs: readonly TensorValue[]): Adapter {
  if (takesStrings(kind)) return makeTextAdapter(inputs);
  if (kind.kind === 'image') return makeImageAdapter(kind, inputs);
  // The API has made the network's own tensors of the rows of a table.
  return makeTensorsAdapter(inputs);
}

/** @throws UnfitNetwork if a network takes batches of one size only, and the manifest allows others */
function checkBatch({ kind }: Manifest['input'], { inputs, batch: { max } }: AdaptedModel): void {
  const takesOne = inputs.every(({ shape }) => takesSize(shape[0], 1));
  const takesMore = inputs.every(({ shape }) => isOpen(shape[0]));
  if (takesMore || (takesOne && max === 1)) return;
  throw new UnfitNetwork(
    `a dynamic batch dimension, since batch.max is ${max}`,
    inputs,
    `${takesOne ? 'Set batch: { max: 1 } in the manifest, or export' : 'Export'} the model with a dynamic batch dimension${kind === 'tensors' ? ', or set batch: none' : ''}.`,
  );
}
