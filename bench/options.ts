// The options of benchmarks. An option has the form of its default.

import { parseArguments } from '../cli/arguments.js';
import { toNumber, toNumbers } from '../cli/numbers.js';

type Form<T> = T extends number
  ? number
  : T extends readonly number[]
    ? readonly number[]
    : T extends boolean
      ? boolean
      : string;

/**
 * Reads the options of a benchmark from the command line.
 * @throws ScorelineError `configuration_invalid` if one is no number, or no list of numbers, where its default is
 */
export function readOptions<
  T extends Record<string, number | readonly number[] | boolean | string>,
>(defaults: T): { readonly [K in keyof T]: Form<T[K]> } {
  const { values } = parseArguments({
    options: Object.fromEntries(
      Object.entries(defaults).map(([name, value]) => [
        name,
        { type: typeof value === 'boolean' ? 'boolean' : 'string' } as const,
      ]),
    ),
  });
  const read = (name: string, usual: T[string]) => {
    const given = values[name];
    if (typeof given !== 'string') return given ?? usual;
    if (typeof usual === 'number') return toNumber(name, given, { min: 0 });
    return Array.isArray(usual) ? toNumbers(name, given, { min: 0 }) : given;
  };
  const all = Object.entries(defaults).map(([name, usual]) => [
    name,
    read(name, usual as T[string]),
  ]);
  return Object.fromEntries(all);
}
