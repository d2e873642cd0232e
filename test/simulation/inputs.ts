// The inputs of a simulation. Each is a number, and its score is that number, so that an answer
// shows to which input it belongs.

import { packScores } from '../../shared/scores.js';
import type { Scored } from '../../worker/batch/scorer.js';

/** What a model does at an input. */
export type Nature = 'good' | 'unreadable' | 'throws' | 'kills' | 'hangs';

export interface Input {
  readonly number: number;
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
}

export function numberOf(input: { text?: string | undefined; bytes?: Uint8Array | undefined }) {
  return input.text === undefined ? Buffer.from(input.bytes ?? []).readUInt32BE() : +input.text;
}

export function encodeNumber(number: number, isBinary: boolean) {
  if (!isBinary) return { text: String(number) };
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(number);
  return { bytes };
}

export function scoreOf(input: Input): Scored {
  return input.nature === 'throws'
    ? { error: { code: 'model_failed', detail: 'The model failed on this input.' } }
    : { scores: packScores([input.number], { [input.number]: 1 }) };
}

export const isFatal = (input: Input) => input.nature === 'kills' || input.nature === 'hangs';
