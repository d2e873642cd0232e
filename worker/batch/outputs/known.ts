// Reads the output of a network that says whether it knows anything of its input, such as whether a
// text has a word that was in the training. The scores of an unknown input mean nothing.

import { ScorelineError } from '../../../shared/errors.js';
import { makeKnownOutput } from '../../../shared/tensors/scores.js';
import type { Tensor } from '../../../shared/tensors/tensors.js';
import type { TensorValue } from '../../engine/engine.js';
import { listValues, takesInner } from '../network/network.js';
import { type Classes, checkNumber } from './score-output.js';
import { split } from './split.js';

export interface Known {
  /** The name of the network's output. */
  readonly name: string;
  /**
   * Returns what the reply to each item says of it, or undefined if all of the item's rows are known.
   * @throws ScorelineError `model_output_mismatch` if the output has another number of rows, or several numbers in one
   */
  share(output: Tensor, rows: readonly number[]): readonly (Tensor | undefined)[];
}

/**
 * Makes the reader of the output that the manifest names, or returns undefined if it names none.
 * @throws ScorelineError `model_file_wrong` if there is no such output of a number for each row
 */
export function makeKnown(
  { model, output }: Classes,
  values: readonly TensorValue[],
): Known | undefined {
  const { known: name } = output;
  if (name === undefined) return undefined;
  const value = values.find((candidate) => candidate.name === name);
  const isColumn = value && (takesInner(value, []) || takesInner(value, [1]));
  if (!isColumn || value.datatype === undefined || value.datatype === 'BYTES') {
    throw new ScorelineError(
      'model_file_wrong',
      `${model}: output.known: expected an output of the network with one number for each row; got ${JSON.stringify(name)}. The outputs: ${listValues(values)}.`,
    );
  }
  return {
    name,
    share(output, rows) {
      checkNumber(output, 'output.known names it', 'Name another output, or none.');
      return split(output, rows).map((part) => {
        const known = areKnown(part);
        return known.includes(false) ? makeKnownOutput(known) : undefined;
      });
    },
  };
}

/** Tells of each row whether its number is not zero. */
function areKnown({ datatype, shape, data }: Tensor): boolean[] {
  const rows = shape[0] as number;
  const size = data.byteLength / rows;
  // The sign of a float, which zero can have too.
  const sign = datatype.startsWith('FP') ? 0x80 : 0;
  const known: boolean[] = [];
  for (let row = 0; row < rows; row++) {
    const last = (row + 1) * size - 1;
    let isKnown = size > 0 && data[last] !== 0 && data[last] !== sign;
    for (let at = row * size; at < last; at++) if (data[at] !== 0) isKnown = true;
    known.push(isKnown);
  }
  return known;
}
