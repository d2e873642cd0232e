// Whether an answer consists of finite numbers. The warm-up asks: a model that answers its own example with others
// is broken.

import { embeddingName } from '../../../shared/manifest/embedding.js';
import type { Manifest } from '../../../shared/manifest/manifest.js';
import { isFloats } from '../../../shared/tensors/network.js';
import { type Tensor, toNumbers } from '../../../shared/tensors/tensors.js';

/** @param share the outputs for an item; undefined if one of its scores is not finite */
export function isFiniteAnswer(
  { output }: Pick<Manifest, 'output'>,
  share: readonly Tensor[] | undefined,
): boolean {
  if (share === undefined) return false;
  // Callers of tensors may want infinite numbers, and scores have been judged.
  if (output.kind !== 'regression' && output.kind !== 'embedding') return true;
  const name = output.kind === 'embedding' ? embeddingName : output.tensor;
  const answer = share.find((tensor) =>
    name === undefined ? isFloats(tensor) : tensor.name === name,
  );
  return answer === undefined || toNumbers(answer).every((number) => Number.isFinite(number));
}
