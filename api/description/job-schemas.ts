// The forms of jobs.

import { z } from 'zod';
import { stateNames } from '../jobs/job-states.js';
import { webhookStates } from '../webhooks/webhook.js';

const known = {
  id: z.string(),
  state: z
    .enum(stateNames)
    .describe('`queued` and `running` are followed by one of the others, which stays.'),
  model: z.string(),
  version: z.string(),
  submittedAt: z.iso.datetime(),
  deadlineAt: z.iso.datetime().describe('After this, the job is not begun any more.'),
};

export const jobSummarySchema = z.object(known);

export const webhookSchema = z.object({
  url: z.string(),
  state: z
    .enum(webhookStates)
    .describe('`delivered` and `dead` stay; after `dead`, only an operator has it sent again.'),
  attempts: z.int().min(0),
  lastError: z.string().optional().describe('Why the last attempt failed.'),
  nextAttemptAt: z.iso.datetime().optional(),
});

const ended = {
  result: z
    .looseObject({})
    .optional()
    .describe('If it has succeeded: the answer that the request would have got at once.'),
  problem: z
    .looseObject({ status: z.int(), code: z.string(), detail: z.string() })
    .optional()
    .describe('If it has failed or was cancelled: the error that the request would have got.'),
};

export const jobSchema = z.object({
  ...known,
  position: z
    .int()
    .min(1)
    .optional()
    .describe(
      'While it is queued: its place in the line of the model, of which 1 is the next. Left out if it is not known.',
    ),
  estimatedWaitMs: z
    .int()
    .min(0)
    .optional()
    .describe(
      'While it is queued: how long until a worker takes it, as fast as the line moves. Left out if that is not known.',
    ),
  ...ended,
  webhook: webhookSchema.optional().describe('If the request had a `Webhook-Url`.'),
});

export const jobEventSchema = z.object({
  type: z.string().describe('`job.` and the state of the job.'),
  timestamp: z.iso.datetime().describe('When the end of the job was seen.'),
  data: z.object({
    ...known,
    ...ended,
    location: z
      .string()
      .describe('The path of the job, for a result that was too large for the message.'),
  }),
});
