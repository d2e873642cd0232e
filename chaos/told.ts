// Judges webhooks: each job whose end a caller has seen is told of at least once, in the right state, with a good
// signature, and always by the same message.

import type { Received, Receiver } from './receiver.js';
import { waitUntil } from './wait.js';

/** What became of the webhooks of a run. */
export interface WebhookCounts {
  readonly right: number;
  /** How many came beyond the first of a job. */
  readonly repeated: number;
  readonly missing: number;
  readonly wrong: number;
}

/** Longer than a job of an API that was killed waits for another API, and longer than a claim. */
const toldWithinMs = 90_000;

/**
 * Waits for the webhooks of these jobs, and judges them.
 * @param states the last state of each job, by its id
 * @param say is told of each that is missing or wrong
 */
export async function judgeWebhooks(
  receiver: Receiver,
  states: ReadonlyMap<string, string>,
  say: (line: string) => void,
  withinMs = toldWithinMs,
): Promise<WebhookCounts> {
  const isTold = () => [...states.keys()].every((job) => receiver.of(job).length > 0);
  await waitUntil(isTold, withinMs, 100);
  const counts = { right: 0, repeated: 0, missing: 0, wrong: 0 };
  for (const [job, state] of states) {
    const received = receiver.of(job);
    counts.repeated += Math.max(0, received.length - 1);
    if (received.length === 0) {
      counts.missing++;
      say(`WEBHOOK MISSING: job ${job}, which is ${state}`);
    } else if (isRight(received, state)) counts.right++;
    else {
      counts.wrong++;
      say(`WEBHOOK WRONG: job ${job}, which is ${state}, got ${received.map(describe).join('; ')}`);
    }
  }
  const unsigned = receiver.received.filter(({ isSigned }) => !isSigned).length;
  if (unsigned > 0) say(`WEBHOOK WRONG: ${unsigned} without a good signature`);
  return { ...counts, wrong: counts.wrong + unsigned };
}

function isRight(received: readonly Received[], state: string): boolean {
  const isSame = new Set(received.map(({ id }) => id)).size === 1;
  return isSame && received.every((one) => one.isSigned && one.event.type === `job.${state}`);
}

function describe({ id, event }: Received): string {
  return `${id} ${event?.type}`;
}
