// A request of N rows is N items, so its rows share runs with those of others, and each is counted,
// scored and failed like any other input. Neither way copies data.

import { ScorelineError } from '../../shared/errors.js';
import { showName, showShape } from '../../shared/network.js';
import { rowOffsets, type Tensor } from '../../shared/tensors.js';

/** An output whose data lies in several places. */
export interface JoinedTensor extends Omit<Tensor, 'data'> {
  readonly parts: readonly Uint8Array[];
}

/** Cuts tensors of the same number of rows into the tensors of each row. */
export function splitRows(tensors: readonly Tensor[], rows: number): (readonly Tensor[])[] {
  if (rows === 1) return [tensors];
  const columns = tensors.map((tensor) => {
    const offsets = rowOffsets(tensor, rows);
    const shape = [1, ...tensor.shape.slice(1)];
    return Array.from({ length: rows }, (_, row) => ({
      ...tensor,
      shape,
      data: tensor.data.subarray(offsets[row], offsets[row + 1]),
    }));
  });
  return Array.from({ length: rows }, (_, row) => columns.map((column) => column[row] as Tensor));
}

/**
 * Joins the outputs of rows.
 * @throws ScorelineError `model_output_mismatch` if an output has another shape for another row
 */
export function joinRows(rows: readonly (readonly Tensor[])[]): JoinedTensor[] {
  const [first = []] = rows;
  return first.map(({ name, datatype, shape }, at) => {
    const column = rows.map((outputs) => outputs[at] as Tensor);
    if (rows.length === 1) return { name, datatype, shape, parts: [(column[0] as Tensor).data] };
    const other = column.find((tensor) => !isLike(tensor.shape, shape));
    if (other) {
      throw new ScorelineError(
        'model_output_mismatch',
        `Expected the output ${showName(name)} to have one shape for each row; got ${showShape(shape)} and ${showShape(other.shape)}. Send each row in a request of its own.`,
      );
    }
    const count = column.reduce((sum, tensor) => sum + (tensor.shape[0] as number), 0);
    return {
      name,
      datatype,
      shape: [count, ...shape.slice(1)],
      parts: column.map((tensor) => tensor.data),
    };
  });
}

function isLike(shape: readonly number[], other: readonly number[]): boolean {
  return shape.length === other.length && shape.every((size, at) => at === 0 || size === other[at]);
}
