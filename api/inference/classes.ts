// The classification extension: the best classes of each row instead of an output's numbers, as
// strings "score:index" or "score:index:label".

import type { Model } from '../../shared/models.js';
import { type Datatype, encodeStrings, type Tensor } from '../../shared/tensors.js';
import { numbersOf } from './json-tensor.js';

/** Returns the best classes of one row's output, best first, as an output of the same name. */
export function classify(
  { name, datatype, shape, data }: Tensor,
  classes: number,
  model: Model,
): Tensor {
  const numbers = numbersOf(datatype as Exclude<Datatype, 'BYTES'>, data);
  const order = Array.from(numbers, (_, index) => index);
  // Not by subtraction, because 64-bit numbers may be too far apart. NaN is no score, so it is last.
  const isBelow = (a: number, b: number) => {
    const [one, other] = [numbers[a] as number, numbers[b] as number];
    return one < other || (Number.isNaN(one) && !Number.isNaN(other));
  };
  order.sort((a, b) => (isBelow(a, b) ? 1 : isBelow(b, a) ? -1 : a - b));
  const isLabelled = model.labels.length === numbers.length && datatype.startsWith('FP');
  const best = order.slice(0, classes).map((index) => {
    const label = isLabelled ? `:${model.labels[index]?.text}` : '';
    return `${write(numbers[index] as number)}:${index}${label}`;
  });
  const rows = model.manifest.batch.dimension === 'none' ? [] : shape.slice(0, 1);
  return { name, datatype: 'BYTES', shape: [...rows, best.length], data: encodeStrings(best) };

  function write(number: number | bigint): string {
    return datatype.startsWith('FP') ? (number as number).toFixed(6) : String(number);
  }
}
