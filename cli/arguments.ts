// Reads the arguments of commands.

import { type ParseArgsConfig, parseArgs } from 'node:util';

/**
 * Parses arguments as `parseArgs` does. An option that is given twice is refused: Node takes the last one, and leaves
 * the others unread.
 * @throws Error with a code that begins with `ERR_PARSE_ARGS`
 */
export function parseArguments<T extends ParseArgsConfig>(
  config: T,
): ReturnType<typeof parseArgs<T>> {
  const { options = {} } = config;
  const { tokens = [] } = parseArgs({ ...config, tokens: true });
  const given = new Set<string>();
  for (const token of tokens) {
    if (token.kind !== 'option' || options[token.name]?.multiple) continue;
    if (given.has(token.name)) throw repeated(token.rawName);
    given.add(token.name);
  }
  return parseArgs(config);
}

function repeated(option: string): Error {
  const message = `Expected the option '${option}' once; got it several times`;
  return Object.assign(new Error(message), { code: 'ERR_PARSE_ARGS_REPEATED_OPTION' });
}
