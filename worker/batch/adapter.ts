// The adapter of a model: how the inputs of items become what the network takes. One file a kind.

import { ScorelineError } from '../../shared/errors.js';
import type { Manifest } from '../../shared/manifest.js';
import type { TensorValue } from '../engine/engine.js';
import { makeImageAdapter } from './images.js';
import { makeTensorsAdapter } from './named.js';
import { type Adapter, UnfitNetwork } from './network.js';
import { makeTextAdapter } from './texts.js';

/** What models take; `tensors` are the inputs that the network itself names. */
export type InputKind = Manifest['input'] | { readonly kind: 'tensors' };

/**
 * @throws ScorelineError `model_file_wrong` when the network's inputs are not those that the
 * manifest leads to
 */
export function makeAdapter(
  kind: InputKind,
  model: { readonly name: string; readonly inputs: readonly TensorValue[] },
): Adapter {
  try {
    if (kind.kind === 'text') return makeTextAdapter(model.inputs);
    if (kind.kind === 'image') return makeImageAdapter(kind, model.inputs);
    return makeTensorsAdapter(model.inputs);
  } catch (thrown) {
    if (!(thrown instanceof UnfitNetwork)) throw thrown;
    throw new ScorelineError('model_file_wrong', `${model.name}: ${thrown.message}`);
  }
}
