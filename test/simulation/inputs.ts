// The inputs of a simulation. Each input is a number and gets that number as its score. So an answer
// shows which input it belongs to.

import { makeRankedOutputs } from '../../shared/tensors/scores.js';
import {
  decodeStrings,
  encodeStrings,
  type Tensor,
  toBuffer,
} from '../../shared/tensors/tensors.js';
import type { Scored } from '../../worker/batch/scorer.js';

/** How a model behaves when it runs the input. */
export type Nature = 'good' | 'unreadable' | 'throws' | 'kills' | 'hangs';

export interface Input {
  readonly number: number;
  /** The bytes of a binary input. Inputs of the same size can share a run. */
  readonly size: number;
  readonly nature: Nature;
  readonly deadlineAt: number;
  /** The id of its item. */
  id: string | undefined;
  /** When it was submitted to the dispatcher; infinite until then. */
  submittedAt: number;
  /** How often its waiter was settled. */
  settled: number;
  /** The workers that know that it was cancelled. */
  readonly abandonedAt: Set<string>;
  /** How many processes it has killed, and how many it may kill at most. */
  deaths: number;
  deathsMax: number;
  /** How often it was to be tried alone. */
  strikes: number;
  /** Whether it ran alone for longer than its model may take. */
  isTooSlow: boolean;
  /** Whether its job was damaged on the way. */
  isGarbled: boolean;
}

export function numberOf([tensor]: readonly Tensor[]): number {
  if (!tensor) return Number.NaN;
  return tensor.datatype === 'BYTES'
    ? Number(decodeStrings(tensor.data)[0])
    : toBuffer(tensor.data).readUInt32BE();
}

/** Encodes an input. Binary inputs have different sizes, so not all of them can share a run. */
export function encodeNumber(
  number: number,
  { isBinary, size }: { isBinary: boolean; size: number },
): Tensor {
  if (!isBinary) {
    const data = encodeStrings([String(number)]);
    return { name: 'input', datatype: 'BYTES', shape: [1], data };
  }
  const data = Buffer.alloc(size);
  data.writeUInt32BE(number);
  return { name: 'input', datatype: 'UINT8', shape: [1, size], data };
}

export function scoreOf(input: Input): Scored {
  return input.nature === 'throws'
    ? { error: { code: 'model_failed', detail: 'The model failed on this input.' } }
    : { outputs: makeRankedOutputs([input.number], { [input.number]: 1 }) };
}

export const isFatal = (input: Input) => input.nature === 'kills' || input.nature === 'hangs';
