// Cuts the outputs of a batch into the parts of each item.

import { ScorelineError } from '../../../shared/errors.js';
import { rowOffsets, type Tensor } from '../../../shared/tensors/tensors.js';

/**
 * Cuts an output of a batch into one tensor for each item, in order. `rows` has each item's row
 * count. The parts share the memory of the whole.
 * @throws ScorelineError `model_output_mismatch` if the first dimension is not the sum of the rows
 */
export function split(output: Tensor, rows: readonly number[]): Tensor[] {
  const { name, datatype, shape, data } = output;
  const total = sum(rows);
  if (shape[0] !== total) {
    const remedy =
      ' If its rows are something else, such as the boxes in a picture, set output: { kind: tensors } and batch: none.';
    throw new ScorelineError(
      'model_output_mismatch',
      `Expected ${total} rows in the output ${JSON.stringify(name)}, one for each row of the inputs; got ${shape[0] ?? 'a tensor without rows'}.${datatype === 'BYTES' ? '' : remedy}`,
    );
  }
  const offsets = rowOffsets(output, total);
  const inner = shape.slice(1);
  let row = 0;
  return rows.map((count) => {
    const from = offsets[row] as number;
    row += count;
    const part = data.subarray(from, offsets[row] as number);
    return { name, datatype, shape: [count, ...inner], data: part };
  });
}

export function sum(numbers: readonly number[]): number {
  let total = 0;
  for (const number of numbers) total += number;
  return total;
}
