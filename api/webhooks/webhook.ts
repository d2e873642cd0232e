// A webhook: the message that tells the owner of a job that the job has ended. There is one for each job whose
// request has a `Webhook-Url`.
//
// - *waiting*: the job has not ended, or its webhook was not tried yet.
// - *retrying*: an attempt has failed, and another one follows.
// - *delivered*, *dead*: no further attempt is made.

import { z } from 'zod';

/** A whole number in a hash of Redis. */
const number = z.string().regex(/^\d+$/).transform(Number);

export const webhookStates = ['waiting', 'retrying', 'delivered', 'dead'] as const;

const webhookSchema = z.object({
  /** The same in each attempt, so receivers can tell a repeat. */
  message: z.string(),
  url: z.string(),
  caller: z.string(),
  state: z.enum(webhookStates),
  attempts: number,
  /** Why the last attempt failed. */
  error: z.string().optional(),
  /** When the next attempt is made, or else when the last one was; milliseconds since the epoch. */
  at: number.optional(),
  /** The message without the job's result, as JSON; undefined until the job has ended. */
  event: z.string().optional(),
});

export type Webhook = Readonly<z.output<typeof webhookSchema>>;

/** Reads the hash of a webhook. One that this build cannot read counts as missing. */
export function readWebhook(hash: Readonly<Record<string, string>>): Webhook | undefined {
  return webhookSchema.safeParse(hash).data;
}

/** Returns what the owner of a job is told about its webhook. */
export function describeWebhook({ url, state, attempts, error, at }: Webhook) {
  return {
    url,
    state,
    attempts,
    ...(error !== undefined && { lastError: error }),
    ...(state === 'retrying' && at !== undefined && { nextAttemptAt: new Date(at).toISOString() }),
  };
}
