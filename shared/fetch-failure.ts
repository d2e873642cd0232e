// Why a `fetch` failed.

import { coerceError } from './errors.js';

/**
 * Returns the reason in words. `fetch` itself says only "fetch failed". The reason is the cause of that, and behind a
 * proxy the cause of the cause. An error of several addresses has a code and no message.
 */
export function describeFetchFailure(thrown: unknown): string {
  let error: NodeJS.ErrnoException = coerceError(thrown);
  while (error.cause instanceof Error) error = error.cause;
  return error.message || error.code || error.name;
}
