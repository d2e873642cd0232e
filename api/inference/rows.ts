// A request of rows is cut into items of up to `batch.max` rows. An item with so many fills a run of its
// own, so cutting it further would share nothing and cost more. The rest shares a run with the items of
// others. Each row counts as an input. Neither way copies data.

import { type Configurations, callerLimitsOf } from '../../shared/configuration/configuration.js';
import { ScorelineError } from '../../shared/errors.js';
import { showName, showShape } from '../../shared/tensors/network.js';
import { rowOffsets, type Tensor, type TensorHead } from '../../shared/tensors/tensors.js';

/** An output whose data lies in several places. */
export interface JoinedTensor extends TensorHead {
  readonly parts: readonly Uint8Array[];
}

/** The most rows of a request. Each is an input, so no more than the service can hold are possible. */
export function rowsMaxOf(configuration: Configurations['api']): number {
  const { ROWS_PER_REQUEST_MAX, PERMITS_MAX } = configuration;
  return Math.min(ROWS_PER_REQUEST_MAX, PERMITS_MAX, callerLimitsOf(configuration).resultsMax);
}

/** Cuts tensors of the same number of rows into items of at most `max` rows. */
export function splitRows(
  tensors: readonly Tensor[],
  { rows, max }: { rows: number; max: number },
): (readonly Tensor[])[] {
  if (rows <= max) return [tensors];
  const columns = tensors.map((tensor) => {
    const offsets = rowOffsets(tensor, rows);
    return (from: number): Tensor => {
      const to = Math.min(from + max, rows);
      const shape = [to - from, ...tensor.shape.slice(1)];
      return { ...tensor, shape, data: tensor.data.subarray(offsets[from], offsets[to]) };
    };
  });
  return Array.from({ length: Math.ceil(rows / max) }, (_, item) =>
    columns.map((cut) => cut(item * max)),
  );
}

/**
 * Joins the outputs of items.
 * @throws ScorelineError `model_output_mismatch` if an output has another shape for other rows
 */
export function joinRows(items: readonly (readonly Tensor[])[]): JoinedTensor[] {
  const [first = []] = items;
  return first.map(({ name, datatype, shape }, at) => {
    const column = items.map((outputs) => outputs[at] as Tensor);
    if (items.length === 1) return { name, datatype, shape, parts: [(column[0] as Tensor).data] };
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
