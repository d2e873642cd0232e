// The forms of jobs.

import { z } from 'zod';
import { stateNames } from '../jobs/job-states.js';

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
  result: z
    .looseObject({})
    .optional()
    .describe('If it has succeeded: the answer that the request would have got at once.'),
  problem: z
    .looseObject({ status: z.int(), code: z.string(), detail: z.string() })
    .optional()
    .describe('If it has failed or was cancelled: the error that the request would have got.'),
});
