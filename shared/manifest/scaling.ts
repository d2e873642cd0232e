// How many workers a model gets. The manifest of a model says it; the values of a cluster may say
// otherwise.

import { z } from 'zod';

const positive = z.number().int().positive();
const timeOfDay = z
  .string()
  .regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'expected a time from 00:00 to 23:59, in quotes');

export const dayNames = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;
export type DayName = (typeof dayNames)[number];

const warmTimeSchema = z
  .strictObject({
    days: z
      .array(z.enum(dayNames))
      .min(1)
      .default(['mon', 'tue', 'wed', 'thu', 'fri'])
      .describe('The days on which it begins.'),
    from: timeOfDay.describe('When it begins: a time from 00:00 to 23:59, in quotes.'),
    to: timeOfDay.describe(
      'When it ends. If it is earlier than `from`, it is a time of the next day.',
    ),
    timezone: z
      .string()
      .refine(isTimezone, 'expected the name of a time zone, such as Europe/Berlin or UTC')
      .describe('The name of a time zone, such as Europe/Berlin or UTC.'),
    workers: positive.describe('The fewest workers during this time; at most `scaling.max`.'),
  })
  .refine(({ from, to }) => from !== to, {
    path: ['to'],
    message: 'expected another time than from',
  });

export const scalingFields = {
  min: z
    .number()
    .int()
    .nonnegative()
    .describe(
      'The fewest workers. 0 lets the model scale to zero; the API is then ready before the first worker is.',
    ),
  max: positive.describe('The most workers.'),
  itemsPerWorker: positive.describe(
    'How many unanswered inputs each worker may have before another is added.',
  ),
  coolDownSeconds: z
    .number()
    .int()
    .min(1)
    .max(3600)
    .describe(
      'How long the last workers stay without any request. While requests come, a worker that is not needed stays three times as long. Lowering it frees machines earlier, and makes the next request wait for a start more often.',
    ),
  schedule: z
    .array(warmTimeSchema)
    .describe(
      'Times at which workers are kept even if nothing waits, such as office hours: `{ days: [mon, fri], from: "08:00", to: "18:00", timezone: Europe/Berlin, workers: 1 }`.',
    ),
};

export const scalingSchema = z
  .strictObject({
    min: scalingFields.min.default(0),
    max: scalingFields.max.default(10),
    itemsPerWorker: scalingFields.itemsPerWorker.default(64),
    coolDownSeconds: scalingFields.coolDownSeconds.default(300),
    schedule: scalingFields.schedule.default([]),
  })
  .refine(({ min, max }) => min <= max, { message: 'expected min <= max' })
  .refine(({ schedule, max }) => schedule.every(({ workers }) => workers <= max), {
    path: ['schedule'],
    message: 'expected workers <= max',
  });

export type Scaling = z.output<typeof scalingSchema>;
export type WarmTime = z.output<typeof warmTimeSchema>;

/**
 * Whether this is a name of the IANA database in its own spelling. Offsets such as +01:00 are none, and
 * Linux knows `Europe/Berlin` only, not `europe/berlin`.
 */
function isTimezone(name: string): boolean {
  if (!/^[A-Z]/.test(name)) return false;
  try {
    const { timeZone } = new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions();
    return timeZone === name || timeZone.toLowerCase() !== name.toLowerCase();
  } catch {
    return false;
  }
}
