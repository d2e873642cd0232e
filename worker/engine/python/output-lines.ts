// What a program prints, as lines of the worker's log.

import type { Readable } from 'node:stream';
import { makeBudget } from '../../../shared/budget.js';
import type { Logger } from '../../../shared/process/log.js';

const lineCharactersMax = 2000;
const linesPerSecondMax = 50;

/**
 * Logs each line that comes from the stream. Long lines are cut, and those of a flood are counted.
 * @returns a function that returns the last line so far, or an empty text
 */
export function logLines(stream: Readable, log: Logger, fields: object): () => string {
  let rest = '';
  let last = '';
  const budget = makeBudget(linesPerSecondMax);

  const say = (line: string) => {
    last = line.slice(0, lineCharactersMax);
    const leftOut = budget.take(performance.now());
    if (leftOut === undefined) return;
    log.info({ ...fields, ...(leftOut > 0 && { leftOut }), line: last }, 'the program says');
  };

  stream.setEncoding('utf8');
  stream.on('data', (text: string) => {
    const parts = `${rest}${text}`.split('\n');
    // The rest of a line without an end is not kept beyond what is shown.
    rest = (parts.pop() as string).slice(0, lineCharactersMax);
    for (const line of parts) if (line !== '') say(line);
  });
  stream.on('end', () => {
    if (rest !== '') say(rest);
  });
  return () => last;
}
