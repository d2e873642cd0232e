// Numbers in the options of commands. They are of digits, so that `1e9`, `0x10`, or an empty variable of a shell is no
// number.

import { wrong } from './faults.js';

interface Bounds {
  readonly min: number;
  readonly max?: number;
  /** Whether only whole numbers will do. */
  readonly isWhole?: boolean;
  /** What else there is to know: the unit, or where the maximum comes from if the user can change it. */
  readonly note?: string;
}

/** @throws ScorelineError `configuration_invalid` */
export function toNumber(option: string, text: string, bounds: Bounds): number {
  const { min, max = Number.MAX_SAFE_INTEGER, isWhole, note } = bounds;
  const form = isWhole ? /^\d+$/ : /^\d*\.?\d+$/;
  const number = form.test(text) ? Number(text) : Number.NaN;
  if (number >= min && number <= max) return number;
  const range = bounds.max === undefined ? `, ${min} or more` : ` from ${min} to ${max}`;
  throw wrong(
    `--${option}: expected a ${isWhole ? 'whole ' : ''}number${range}${note ? `, ${note}` : ''}; got ${text || 'nothing'}`,
  );
}

/** @throws ScorelineError `configuration_invalid` */
export function toCount(option: string, text: string): number {
  return toNumber(option, text, { min: 1, isWhole: true });
}

/** Reads numbers with commas between them, each once, from low to high. */
export function toNumbers(option: string, text: string, bounds: Bounds): number[] {
  const numbers = text.split(',').map((part) => toNumber(option, part.trim(), bounds));
  return [...new Set(numbers)].toSorted((a, b) => a - b);
}
