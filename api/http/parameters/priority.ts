// The priority that a request asks for: by the query parameter `priority`, or by the header `X-Priority` for
// clients that cannot change the address. The header `Priority` (RFC 9218) is not read: browsers set it by
// themselves, and it is about the order of answers on one connection.

import type { IncomingMessage } from 'node:http';
import { z } from 'zod';
import { ScorelineError } from '../../../shared/errors.js';
import { shown } from '../../../shared/shown.js';
import { type Priority, priorities } from '../../../shared/wire/priority.js';
import type { Given } from './parameters.js';

export const priorityHeader = 'x-priority';

/** How `parsePriority` reads a priority. */
export const prioritySchema = z
  .enum(priorities)
  .describe(
    'Whether somebody waits for the answer. While inputs of both priorities wait for a model, most batches are of the interactive ones. Without it, a request is interactive unless it is answered later and its client does not wait.',
  );

/**
 * Reads the priority of a request; undefined if it asks for none. The query counts before the header.
 * @throws ScorelineError `parameter_invalid`
 */
export function readPriority(
  { headers }: Pick<IncomingMessage, 'headers'>,
  query: Given,
): Priority | undefined {
  const inHeader = parsePriority(headers[priorityHeader], 'X-Priority');
  return parsePriority(query.priority, 'priority') ?? inHeader;
}

/**
 * Parses a priority from the place of this name.
 * @throws ScorelineError `parameter_invalid`
 */
export function parsePriority(given: unknown, name: string): Priority | undefined {
  if (given === undefined) return undefined;
  const priority = priorities.find((known) => known === given);
  if (priority) return priority;
  throw new ScorelineError(
    'parameter_invalid',
    `Expected ${name} to be ${priorities.join(' or ')}; got ${shown(given)}.`,
  );
}
