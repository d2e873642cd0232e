// Writes jobs for the callers that they belong to.

import { problemOf } from '../../../shared/errors.js';
import type { Registry } from '../../../shared/registry.js';
import { type Caller, catalogueOf } from '../../access/caller.js';
import { type StandingJob, writeJob } from '../../jobs/job-document.js';
import type { HasModel } from '../../jobs/jobs.js';
import type { InputKinds } from '../../kinds/kinds.js';

export interface WriteJobFor {
  readonly registry: Registry;
  readonly kinds: InputKinds;
}

/** Returns a job as JSON, on one line. Its result needs its model, if that still exists for the caller. */
export function writeJobFor(
  caller: Caller,
  job: StandingJob,
  { registry, kinds }: WriteJobFor,
): string {
  const model = catalogueOf(caller, registry).ofQueue(job.record.queue);
  return writeJob(job, { kinds, model, problemOf });
}

/** Returns whether the model of a job still exists for a caller. */
export function hasModelFor(caller: Caller, { registry }: Pick<WriteJobFor, 'registry'>): HasModel {
  const catalogue = catalogueOf(caller, registry);
  return ({ queue }) => catalogue.ofQueue(queue) !== undefined;
}
