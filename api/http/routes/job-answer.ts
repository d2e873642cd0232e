// Writes jobs for the callers that they belong to.

import type { Registry } from '../../../shared/registry/registry.js';
import { type Caller, catalogueOf } from '../../access/caller.js';
import { type StandingJob, writeJob } from '../../jobs/job-document.js';
import type { WhereModel } from '../../jobs/jobs.js';
import type { InputKinds } from '../../kinds/kinds.js';

export interface WriteJobFor {
  readonly registry: Registry;
  readonly kinds: InputKinds;
}

/** Returns a job as JSON, on one line. Its result needs its model, if that still exists for the caller. */
export function writeJobFor(caller: Caller, job: StandingJob, parts: WriteJobFor): string {
  const { registry, kinds } = parts;
  const model = catalogueOf(caller, registry).ofQueue(job.record.queue);
  const where = whereModelFor(caller, parts)(job.record);
  return writeJob(job, { kinds, model, where });
}

/** Returns where the model of a job is for a caller. */
export function whereModelFor(
  caller: Caller,
  { registry }: Pick<WriteJobFor, 'registry'>,
): WhereModel {
  const catalogue = catalogueOf(caller, registry);
  return ({ model, queue }) => {
    if (catalogue.ofQueue(queue)) return 'here';
    return catalogue.awaitQueue({ name: model, queue }) ? 'awaited' : 'gone';
  };
}
