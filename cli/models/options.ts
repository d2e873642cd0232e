// Reads the options of commands, and the name of a model before them.

import type { ParseArgsConfig } from 'node:util';
import { coerceError } from '../../shared/errors.js';
import { parseArguments } from '../arguments.js';
import { wrong } from '../faults.js';

type Options = NonNullable<ParseArgsConfig['options']>;

/**
 * Reads the name of a model and options.
 * @throws ScorelineError `configuration_invalid`, with the usage
 */
export function readOptions<T extends Options>(
  parameters: readonly string[],
  { options, usage }: { options: T; usage: string },
) {
  try {
    const { values, positionals } = parseArguments({
      args: [...parameters],
      allowPositionals: true,
      options,
    });
    const [name, ...others] = positionals;
    if (name === undefined) throw new Error('Expected the name of a model; got none.');
    if (others.length > 0) throw new Error(`Expected one name; got ${others.length + 1}.`);
    return { name, values };
  } catch (error) {
    throw wrong(`${coerceError(error).message}\nUsage: npm run models -- ${usage}`);
  }
}

/** @throws ScorelineError `configuration_invalid` */
export function toChoice<T extends string>(option: string, text: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === text);
  if (found) return found;
  throw wrong(`--${option}: expected one of ${choices.join(', ')}; got ${text}`);
}
