// The adapter of a model turns the inputs of items into the network's inputs. One file for each
// kind.

import { ScorelineError } from '../../shared/errors.js';
import type { Manifest } from '../../shared/manifest.js';
import type { TensorValue } from '../engine/engine.js';
import { makeImageAdapter } from './images.js';
import { makeTensorsAdapter } from './named.js';
import { type Adapter, takesSize, UnfitNetwork } from './network.js';
import { makeTextAdapter } from './texts.js';

/** The kind of input that a model takes. With `tensors`, callers use the network's own inputs. */
export type InputKind = Manifest['input'] | { readonly kind: 'tensors' };

/** What an adapter must know of a model. */
export interface AdaptedModel {
  readonly name: string;
  readonly inputs: readonly TensorValue[];
  /** The most items in a batch. */
  readonly batchMax: number;
}

/**
 * Makes the adapter for a kind of input.
 * @throws ScorelineError `model_file_wrong` if the network's inputs do not match the manifest
 */
export function makeAdapter(kind: InputKind, model: AdaptedModel): Adapter {
  try {
    const adapter = makeForKind(kind, model.inputs);
    checkBatch(model);
    return adapter;
  } catch (thrown) {
    if (!(thrown instanceof UnfitNetwork)) throw thrown;
    throw new ScorelineError('model_file_wrong', `${model.name}: ${thrown.message}`);
  }
}

function makeForKind(kind: InputKind, inputs: readonly TensorValue[]): Adapter {
  if (kind.kind === 'text') return makeTextAdapter(inputs);
  if (kind.kind === 'image') return makeImageAdapter(kind, inputs);
  return makeTensorsAdapter(inputs);
}

/** @throws UnfitNetwork if a network takes batches of one size only, and the manifest allows others */
function checkBatch({ inputs, batchMax }: AdaptedModel): void {
  const takesOne = inputs.every(({ shape }) => takesSize(shape[0], 1));
  const takesMore = inputs.every(({ shape }) => takesSize(shape[0], 0));
  if (takesMore || (takesOne && batchMax === 1)) return;
  throw new UnfitNetwork(
    `a dynamic batch dimension, since batch.max is ${batchMax}`,
    inputs,
    `${takesOne ? 'Set batch: { max: 1 } in the manifest, or export' : 'Export'} the model with a dynamic batch dimension.`,
  );
}
