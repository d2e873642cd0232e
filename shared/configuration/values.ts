// The values of environment variables, as the schemas of the configuration read them.

import { z } from 'zod';

/** A whole number from `min` to `max`, of digits alone. `what` it is, is said with anything else. */
export const integer = (min: number, max: number, what = 'a whole number') => {
  const expected = `expected ${what} from ${min} to ${max}`;
  const range = z.number().min(min, expected).max(max, expected);
  return z.string().regex(/^\d+$/, expected).transform(Number).pipe(range);
};

/** A number from 0 to 1. */
export const ratio = z
  .string()
  .regex(/^(0?\.\d+|[01](\.\d*)?)$/, 'expected a number from 0 to 1')
  .transform(Number)
  .pipe(z.number().min(0).max(1));

/** A list whose parts are separated by commas. */
export const list = z.string().transform(splitList);

/** Splits a list whose parts are separated by commas. Blanks around them, empty parts and repeats are left out. */
export function splitList(text: string): string[] {
  const parts = text.split(',').map((part) => part.trim());
  return [...new Set(parts.filter((part) => part !== ''))];
}
