// One client: draws requests in rounds, sends them one after the other, and looks for the smallest request
// that still gets a wrong answer.

import fc, { type Arbitrary } from 'fast-check';
import type { Shot } from './draft.js';
import type { Failures } from './failures.js';

/** fast-check draws this many requests from one seed. */
const roundRequests = 100;
/** So many smaller requests are tried. */
const shrinksMax = 60;
const shrinkMsMax = 20_000;

export async function runClient(options: {
  shots: Arbitrary<Shot>;
  seed: number;
  isOver: () => boolean;
  /** Sends a request, and resolves to what is wrong with its answer. */
  attempt: (shot: Shot) => Promise<string | undefined>;
  failures: Failures;
}): Promise<void> {
  const { shots, isOver, attempt, failures } = options;
  for (let round = 0; !isOver(); round++) {
    const seed = options.seed + round;
    let shrinks = 0;
    let shrinksUntil = 0;
    let fault: string | undefined;
    const property = fc.asyncProperty(shots, async (shot) => {
      const isTried =
        fault === undefined
          ? !isOver()
          : shrinks++ < shrinksMax && performance.now() < shrinksUntil;
      const found = isTried ? await attempt(shot) : undefined;
      if (found === undefined) return true;
      if (fault === undefined) shrinksUntil = performance.now() + shrinkMsMax;
      fault = found;
      return false;
    });
    const details = await fc.check(property, { seed, numRuns: roundRequests });
    const [shot] = details.counterexample ?? [];
    if (shot === undefined || fault === undefined) continue;
    failures.add({ fault, shot, replay: `seed ${seed}, path ${details.counterexamplePath}` });
  }
}
