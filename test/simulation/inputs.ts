// The inputs of a simulation. Each is a number, and its score is that number, so that an answer
// shows to which input it belongs.

import { makeRankedOutputs } from '../../shared/scores.js';
import { decodeStrings, encodeStrings, type Tensor, toBuffer } from '../../shared/tensors.js';
import type { Scored } from '../../worker/batch/scorer.js';

/** What a model does at an input. */
export type Nature = 'good' | 'unreadable' | 'throws' | 'kills' | 'hangs';

export interface Input {
  readonly number: number;
  /** Bytes, where it is binary; those of one size can share a run. */
  readonly size: number;
  readonly nature: Nature;
  readonly deadlineAt: number;
  /** Under which id it travels. */
  id: string | undefined;
  /** When it was submitted to the dispatcher; never, so far. */
  submittedAt: number;
  /** How often its waiter was found. */
  settled: number;
  /** The workers that were told that nobody waits for it any more. */
  readonly abandonedAt: Set<string>;
  /** How often a process died of it, and how often it had to be expected to. */
  deaths: number;
  deathsMax: number;
  /** How often it was about to be tried alone. */
  strikes: number;
  /** It was at work alone for longer than its model may take. */
  isTooSlow: boolean;
  /** Its job was damaged on its way. */
  isGarbled: boolean;
}

export function numberOf([tensor]: readonly Tensor[]): number {
  if (!tensor) return Number.NaN;
  return tensor.datatype === 'BYTES'
    ? Number(decodeStrings(tensor.data)[0])
    : toBuffer(tensor.data).readUInt32BE();
}

/** Binary inputs have different sizes, so that not all of them can share a run. */
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
