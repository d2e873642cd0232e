// The record of a job: what Redis keeps of a request that is answered later, besides its inputs and results.
//
// A record never changes, and says nothing about the state of its job: that follows from the results and
// from the queue (job-states.ts).

import { z } from 'zod';
import { priorities } from '../../shared/wire/priority.js';

/** How the answer to the request is written: by the route that took it. */
const formSchema = z.discriminatedUnion('route', [
  z.object({ route: z.literal('native') }),
  z.object({
    route: z.literal('reference'),
    /** What the caller calls its inputs. */
    names: z.array(z.string()),
  }),
  z.object({
    route: z.literal('inference'),
    /** The caller's own id of the request. */
    id: z.string().optional(),
    outputs: z.array(z.object({ name: z.string(), classes: z.number() })),
  }),
  z.object({
    route: z.literal('predict'),
    /** The names of the tensors in the answer; none if it has what a program returned. */
    outputs: z.array(z.string()),
    isColumnar: z.boolean(),
  }),
]);

const recordSchema = z.object({
  id: z.string(),
  caller: z.string(),
  model: z.string(),
  version: z.string(),
  /** The model's queue. */
  queue: z.string(),
  priority: z.enum(priorities),
  /** The id of the job in that queue. */
  queued: z.string(),
  /** The ids of its items, in the order of the inputs. */
  items: z.array(z.string()).min(1),
  /** Milliseconds since the epoch. */
  submittedAt: z.number(),
  deadlineAt: z.number(),
  keepMs: z.number(),
  form: formSchema,
  /** The address that is told when the job has ended. */
  webhook: z.string().optional(),
});

export type JobForm = z.output<typeof formSchema>;
export type JobRecord = Readonly<z.output<typeof recordSchema>>;

/** Whether two jobs have their answers written in the same way. Only one of them may have been in Redis. */
export function hasSameForm(one: JobRecord, other: JobRecord): boolean {
  const written = ({ form }: JobRecord) => JSON.stringify(formSchema.parse(form));
  return written(one) === written(other);
}

/** Reads a record. One that this build cannot read counts as missing. */
export function readRecord(text: string | null): JobRecord | undefined {
  if (text === null) return undefined;
  try {
    return recordSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
