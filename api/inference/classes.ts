// The classification extension: the best classes of each row instead of an output's numbers, as
// strings "score:index" or "score:index:label".

import type { Label } from '../../shared/manifest/labels.js';
import { scoresClasses } from '../../shared/manifest/output.js';
import type { Model } from '../../shared/registry/models.js';
import { type Datatype, encodeStrings, type Tensor } from '../../shared/tensors/tensors.js';
import { numbersOf } from './json-tensor.js';

/** Returns the best classes of each row of an output, best first, as an output of the same name. */
export function classify(
  { name, datatype, shape, data }: Tensor,
  classes: number,
  model: Model,
): Tensor {
  const all = numbersOf(datatype as Exclude<Datatype, 'BYTES'>, data);
  const hasRows = model.manifest.batch.dimension === 'first';
  const rows = hasRows ? (shape[0] as number) : 1;
  const width = all.length / rows;
  const labels = labelsOf(model, name);
  const isLabelled = labels.length === width;
  const best = Array.from({ length: rows }, (_, row) => {
    const numbers = all.subarray(row * width, (row + 1) * width);
    return selectBest(numbers, classes).map((index) => {
      const label = isLabelled ? `:${labels[index]?.text}` : '';
      return `${write(numbers[index] as number)}:${index}${label}`;
    });
  });
  const kept = Math.min(classes, width);
  return {
    name,
    datatype: 'BYTES',
    shape: hasRows ? [rows, kept] : [kept],
    data: encodeStrings(best.flat()),
  };

  function write(number: number | bigint): string {
    return datatype.startsWith('FP') ? (number as number).toFixed(6) : String(number);
  }
}

/** Returns the labels of the classes that an output of the network scores; none if it is not known to score any. */
function labelsOf({ manifest, labels, heads }: Model, name: string): readonly Label[] {
  const { output } = manifest;
  if (scoresClasses(output) && output.tensor === name) return labels;
  return heads.find((head) => head.output.tensor === name)?.labels ?? [];
}

/** Returns the indexes of the largest numbers in one pass, as most are below the least that is kept. */
function selectBest(numbers: ArrayLike<number | bigint>, count: number): number[] {
  const best: number[] = [];
  for (let index = 0; index < numbers.length; index++) {
    const number = numbers[index] as number;
    const last = numbers[best.at(-1) ?? 0] as number;
    if (best.length === count && !isBelow(last, number)) continue;
    let [low, high] = [0, best.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (isBelow(numbers[best[middle] as number] as number, number)) high = middle;
      else low = middle + 1;
    }
    best.splice(low, 0, index);
    if (best.length > count) best.pop();
  }
  return best;
}

/** Not by subtraction, because 64-bit numbers may be too far apart. NaN is no score, so it is last. */
function isBelow(one: number, other: number): boolean {
  return one < other || (Number.isNaN(one) && !Number.isNaN(other));
}
