// The adapter of a model turns the inputs of items into the network's inputs. One file for each
// kind.

import { ScorelineError } from '../../shared/errors.js';
import type { Manifest } from '../../shared/manifest.js';
import type { TensorValue } from '../engine/engine.js';
import { makeImageAdapter } from './images.js';
import { makeTensorsAdapter } from './named.js';
import { type Adapter, UnfitNetwork } from './network.js';
import { makeTextAdapter } from './texts.js';

/** The kind of input that a model takes. With `tensors`, callers use the network's own inputs. */
export type InputKind = Manifest['input'] | { readonly kind: 'tensors' };

/**
 * Makes the adapter for a kind of input.
 * @throws ScorelineError `model_file_wrong` if the network's inputs do not match the manifest
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
