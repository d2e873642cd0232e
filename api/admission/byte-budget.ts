// Limits the bytes of request bodies that one process holds at a time. The API reads a body before it
// can validate the inputs, so without a limit many large bodies would fill the memory.

import { ScorelineError } from '../../shared/errors.js';

export type ByteBudget = ReturnType<typeof makeByteBudget>;

export function makeByteBudget(bytesMax: number) {
  let taken = 0;
  return {
    /** @throws ScorelineError `overloaded` when fewer bytes are left; then it takes none */
    take(bytes: number): void {
      if (taken + bytes > bytesMax) {
        throw new ScorelineError(
          'overloaded',
          `Expected at most ${bytesMax} bytes of request bodies in memory; there are ${taken} already. Ask again after the time in Retry-After.`,
          { retryAfterSeconds: 1, reason: 'bodies' },
        );
      }
      taken += bytes;
    },
    giveBack(bytes: number): void {
      taken -= bytes;
    },
    get taken(): number {
      return taken;
    },
  };
}
