// What a request prefers about when it is answered: the header `Prefer` (RFC 7240), and the query parameter
// `async` for clients that cannot set headers.

import type { IncomingMessage } from 'node:http';
import { ScorelineError } from '../../../shared/errors.js';
import { shown } from '../../../shared/shown.js';
import type { Given } from './parameters.js';

/** The longest that a request waits. A client that prefers to wait for longer is told. */
export const waitSecondsMax = 60;

export interface Preferences {
  /** How long the client waits before it takes a later answer, in milliseconds. */
  readonly waitMs: number;
  /** The preferences that are followed, for the header `Preference-Applied`. */
  readonly applied: string;
}

/**
 * Reads the preferences of a request. Returns undefined if there are none, so the client takes no later
 * answer. Preferences for something else are ignored.
 * @throws ScorelineError `preference_invalid`
 */
export function readPreferences(
  { headers }: Pick<IncomingMessage, 'headers'>,
  query: Given,
): Preferences | undefined {
  // Most requests have none.
  if (headers.prefer === undefined && query.async === undefined) return undefined;
  const given = (String(headers.prefer ?? '').match(eachPreference) ?? []).map(readPreference);
  const isAsync = readAsync(query.async) || given.some(({ name }) => name === 'respond-async');
  // Of several, the first counts.
  const wait = given.find(({ name }) => name === 'wait');
  const seconds = wait && Math.min(readSeconds(wait.value), waitSecondsMax);
  if (!isAsync && seconds === undefined) return undefined;
  const applied = [
    ...(isAsync ? ['respond-async'] : []),
    ...(seconds === undefined ? [] : [`wait=${seconds}`]),
  ];
  return { waitMs: (seconds ?? 0) * 1000, applied: applied.join(', ') };
}

interface Preference {
  readonly name: string;
  readonly value: string | undefined;
}

/**
 * A comma or a semicolon in double quotes is part of a value. Quotes without an end go to the end of the text: if they
 * were no match, each quote in them would be tried anew.
 */
const eachPreference = /(?:"[^"\\]*(?:\\[\s\S]?[^"\\]*)*(?:"|$)|[^",])+/g;

/** Reads one preference. Its parameters, behind a semicolon, mean nothing to us. */
function readPreference(text: string): Preference {
  const [whole = ''] = text.split(';', 1);
  const at = whole.indexOf('=');
  const name = (at < 0 ? whole : whole.slice(0, at)).trim().toLowerCase();
  return { name, value: at < 0 ? undefined : whole.slice(at + 1).trim() };
}

function readSeconds(value: string | undefined): number {
  const [, quoted, bare] = /^(?:"(\d+)"|(\d+))$/.exec(value ?? '') ?? [];
  const digits = quoted ?? bare;
  if (digits !== undefined) return Number(digits);
  throw new ScorelineError(
    'preference_invalid',
    `Expected wait in Prefer to be a whole number of seconds, as in Prefer: wait=10; got ${show(value)}.`,
  );
}

const flags: ReadonlyMap<unknown, boolean> = new Map([
  ...[undefined, '0', 'false'].map((text) => [text, false] as const),
  ...['', '1', 'true'].map((text) => [text, true] as const),
]);

function readAsync(value: unknown): boolean {
  const flag = flags.get(value);
  if (flag !== undefined) return flag;
  throw new ScorelineError(
    'preference_invalid',
    `Expected ?async, ?async=true or ?async=false; got ${show(value)}.`,
  );
}

function show(value: unknown): string {
  return Array.isArray(value) ? 'several' : shown(value);
}
