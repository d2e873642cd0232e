// The goals of a model: how much of its service must be good. Alerts and dashboards measure against them.

import { z } from 'zod';
import { latencyBuckets } from '../metrics/table.js';

/**
 * The lowest share that can be a goal. The fastest alert asks for errors at 14.4 times the rate that uses
 * the budget up in 30 days. Below this share, that rate would be more than all requests.
 */
const shareMin = 0.95;
const shareMax = 0.999_99;
const bucketsMs = latencyBuckets.map((seconds) => seconds * 1000);

export const sloSchema = z
  .strictObject({
    availability: z
      .number()
      .min(shareMin)
      .max(shareMax)
      .optional()
      .describe(
        'The share of requests that are to be answered without a fault of the service, over 30 days, such as 0.999. Faults are 5xx, and 429 for lack of capacity.',
      ),
    latencyMs: z
      .number()
      .refine(
        (ms) => bucketsMs.includes(ms),
        `expected one of ${bucketsMs.join(', ')}: the times up to which the histogram counts`,
      )
      .optional()
      .describe(
        `The time within which requests are to be answered: ${bucketsMs.join(', ')}, and at most \`deadlineMs\`.`,
      ),
    latencyPercentile: z
      .number()
      .min(shareMin * 100)
      .max(shareMax * 100)
      .default(99)
      .describe('How many of 100 requests are to be answered within `latencyMs`.'),
  })
  .refine(({ availability, latencyMs }) => availability !== undefined || latencyMs !== undefined, {
    message: 'expected availability, latencyMs, or both',
  });

export type Slo = Readonly<z.output<typeof sloSchema>>;
