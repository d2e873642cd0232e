// The input kinds: how items become the tensor a model takes. One file a kind.

import type { Manifest } from '../../shared/manifest.js';
import type { InputTensor } from '../engine/engine.js';
import { makeStackChannels, makeStackPixels } from './image.js';
import { makeStackTexts } from './text.js';

export interface ItemInput {
  readonly text?: string | undefined;
  readonly bytes?: Uint8Array | undefined;
}

/** Stacks the inputs of N items into one batch. */
export type Stack = (items: readonly ItemInput[]) => InputTensor;

/** `rank` is the number of dimensions of the model's own input. */
export function makeStack(input: Manifest['input'], rank = 1): Stack {
  if (input.kind === 'text') return makeStackTexts(rank);
  return input.tensor === 'uint8-nhwc' ? makeStackPixels(input) : makeStackChannels(input);
}

/** Bytes of one item's binary input; undefined where the input is text. */
export function bytesOfItem(input: Manifest['input']): number | undefined {
  return input.kind === 'image' ? input.height * input.width * 3 : undefined;
}

/** An input to warm the model up with: the example's text, or a picture of noise of the right size. */
export function sampleInput(manifest: Manifest): ItemInput {
  const size = bytesOfItem(manifest.input);
  if (size === undefined) return { text: manifest.example.input };
  return { bytes: Uint8Array.from({ length: size }, (_, at) => (at * 2654435761) >>> 24) };
}
