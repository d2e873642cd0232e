// Whether two versions of a model answer the same: the same best class, or the same numbers or JSON within a tolerance.

import { parseExactly } from '../../shared/exact-json.js';
import { areLike } from '../../shared/json-likeness.js';
import { ownTensors } from '../../shared/manifest/heads.js';
import { scoresClasses } from '../../shared/manifest/output.js';
import type { Model } from '../../shared/registry/models.js';
import { mapScores } from '../../shared/tensors/scores.js';
import { decodeStrings, type Tensor, toFloats } from '../../shared/tensors/tensors.js';
import type { OutputWish } from '../../shared/wire/job.js';
import { readValue } from '../kinds/regression.js';

/** Numbers agree up to this share of the largest one of their output. */
const tolerance = 0.01;

/** Longer JSON is compared byte by byte, since parsing holds up everybody else. */
const parsedBytesMax = 1_048_576;

/** Whether the outputs of two versions for the same input agree. */
export function doAgree(
  model: Model,
  own: readonly Tensor[],
  other: Model,
  others: readonly Tensor[],
  { top }: OutputWish,
): boolean {
  // A model of another kind that has further answers gets a wish for classes, too.
  if (top !== undefined && scoresClasses(model.manifest.output))
    return bestLabel(model, own) === bestLabel(other, others);
  if (model.manifest.output.kind === 'regression') {
    try {
      return areClose([readValue(own)], [readValue(others)]);
    } catch {
      return false;
    }
  }
  const areJson = [model, other].every(({ manifest }) => manifest.output.kind === 'json');
  const [tensors, twins] = [ownTensors(own), ownTensors(others)];
  return (
    tensors.length === twins.length &&
    tensors.every((tensor) => {
      const twin = twins.find(({ name }) => name === tensor.name);
      return twin !== undefined && areAlike(tensor, twin, areJson);
    })
  );
}

/** Versions may have their labels in different orders, so their texts and ids are compared. */
function bestLabel({ labels }: Model, outputs: readonly Tensor[]): string {
  const [best] = mapScores(outputs, (index) => index);
  const label = best === undefined ? undefined : labels[best];
  return JSON.stringify([label?.id, label?.text]);
}

function areAlike(one: Tensor, other: Tensor, areJson: boolean): boolean {
  const isSameForm = one.datatype === other.datatype && one.shape.join() === other.shape.join();
  if (!isSameForm) return false;
  if (one.datatype.startsWith('FP')) return areClose(toFloats(one), toFloats(other));
  if (Buffer.compare(one.data, other.data) === 0) return true;
  if (!areJson || Math.max(one.data.length, other.data.length) > parsedBytesMax) return false;
  const [some, others] = [one, other].map(({ data }) => decodeStrings(data).map(parseExactly));
  return areLike(some, others, areNear);
}

/** Whole numbers may be ids. The other numbers of a JSON have scales of their own, such as widths beside scores. */
function areNear(one: number, other: number): boolean {
  if (Number.isInteger(one) && Number.isInteger(other)) return one === other;
  return Math.abs(one - other) <= tolerance * Math.max(Math.abs(one), Math.abs(other));
}

function areClose(some: ArrayLike<number>, others: ArrayLike<number>): boolean {
  let largest = 0;
  for (let at = 0; at < some.length; at++)
    largest = Math.max(largest, Math.abs(some[at] as number));
  for (let at = 0; at < some.length; at++) {
    const difference = Math.abs((some[at] as number) - (others[at] as number));
    // NaN is no number that is near to another.
    if (!(difference <= tolerance * largest)) return false;
  }
  return some.length === others.length;
}
