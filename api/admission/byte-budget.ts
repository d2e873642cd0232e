// The bytes of request bodies that one process holds at a time. Bodies are read before their inputs
// are known to be good, so without this bound many large ones would fill the memory.

import { ScorelineError } from '../../shared/errors.js';

export interface ByteBudget {
  /** @throws ScorelineError `overloaded` when that many are not left; then none are taken */
  take(bytes: number): void;
  giveBack(bytes: number): void;
  readonly taken: number;
}

export function makeByteBudget(bytesMax: number): ByteBudget {
  let taken = 0;
  return {
    take(bytes) {
      if (taken + bytes > bytesMax) {
        throw new ScorelineError(
          'overloaded',
          `Expected at most ${bytesMax} bytes of request bodies at a time; there are ${taken} already. Ask again after the time in Retry-After.`,
          { retryAfterSeconds: 1 },
        );
      }
      taken += bytes;
    },
    giveBack(bytes) {
      taken -= bytes;
    },
    get taken() {
      return taken;
    },
  };
}
