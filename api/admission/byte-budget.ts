// Limits the bytes of request bodies that one process holds at a time. The API reads a body before it
// can validate the inputs, so without a limit many large bodies would fill the memory.

import { ScorelineError } from '../../shared/errors.js';

export interface ByteBudget {
  /** @throws ScorelineError `overloaded` when fewer bytes are left; then it takes none */
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
          `Expected at most ${bytesMax} bytes of request bodies in memory; there are ${taken} already. Ask again after the time in Retry-After.`,
          { retryAfterSeconds: 1, reason: 'bodies' },
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
