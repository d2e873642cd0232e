// The operations of jobs: requests that are answered later.

import { z } from 'zod';
import type { ErrorCode } from '../../shared/errors.js';
import { eventStreamType } from '../http/answers/event-stream.js';
import { pageSizeMax } from '../http/routes/jobs.js';
import { eventIdForm } from '../jobs/job-events.js';
import { stateNames } from '../jobs/job-states.js';
import { accessCodes, type Context, retryAfterHeader } from './context.js';
import { jobSchema, jobSummarySchema } from './job-schemas.js';
import type { Operation, Parameter, Paths } from './openapi.js';
import { toSchema } from './parts.js';
import { appliedHeader, inPath, preferParameter } from './scoring.js';

export const jobsTag = {
  name: 'Jobs',
  description:
    'Requests that are answered later. Ask for that by `Prefer: respond-async` or `Prefer: wait=N` at any address that scores. Each job belongs to the caller that made it.',
};
const tags = [jobsTag.name];
const job = inPath(
  'job',
  'The id of the job, as in the `Location` of the answer that made it.',
  [],
);

export function jobPaths(context: Context): Paths {
  return {
    '/v1/jobs': { get: listJobs(context) },
    '/v1/jobs/{job}': { get: readJob(context), delete: cancelJob(context) },
    '/v1/jobs/{job}/events': { get: followJob(context) },
  };
}

function readJob(context: Context): Operation {
  const headers = {
    ...context.headers,
    'Retry-After': retryAfterHeader(context),
    'Preference-Applied': appliedHeader(context),
  };
  const { 200: answered } = oneJob(context, 'The job, with its result or its problem.');
  return {
    operationId: 'readJob',
    summary: 'Read a job, or wait for it',
    description: 'With `Prefer: wait=N` it waits for up to N seconds until the job has ended.',
    tags,
    parameters: [job, preferParameter(context)],
    responses: {
      200: { ...answered, headers },
      ...context.problemsOf('job', 'problem', [
        ...codesOf(context),
        ...(['job_not_found', 'preference_invalid'] as const),
      ]),
    },
  };
}

function followJob(context: Context): Operation {
  const { headers } = context;
  const schema = { type: 'string' };
  return {
    operationId: 'followJob',
    summary: 'Follow a job',
    description:
      'Server-sent events, as `EventSource` reads them: the job in each state that it reaches, as JSON on one line. While it is queued, events of the type `position` tell its place in the line. The answer ends when the job has ended.',
    tags,
    parameters: [
      job,
      {
        name: 'Last-Event-ID',
        in: 'header',
        description: 'The `id` of the last event that was seen. Only later states are told.',
        schema: { ...schema, pattern: eventIdForm.source },
      },
    ],
    responses: {
      200: {
        description: 'The states of the job, from now until it has ended.',
        headers,
        content: { [eventStreamType]: { schema, example: eventExample } },
      },
      204: { description: 'The last event was the last one of the job.', headers },
      ...context.problemsOf('jobEvents', 'problem', [
        ...codesOf(context),
        ...(['job_not_found', 'event_id_invalid', 'event_gone', 'not_acceptable'] as const),
        ...(['overloaded', 'concurrency_limited', 'shutting_down'] as const),
      ]),
    },
  };
}

const eventExample =
  'retry: 1000\n\nid: 7f9c24e8-running\ndata: {"id":"0b5c6f0e-6c1e-4a3a-9d8e-3f1f5d1c2b7a","state":"running","model":"my-model","version":"1","submittedAt":"2026-01-01T12:00:00.000Z","deadlineAt":"2026-01-01T13:00:00.000Z"}\n\n';

function cancelJob(context: Context): Operation {
  return {
    operationId: 'cancelJob',
    summary: 'Cancel a job',
    description:
      'A job that is queued is not scored, and the result of one that is running is thrown away.',
    tags,
    parameters: [job],
    responses: {
      ...oneJob(context, 'The job is cancelled.'),
      ...context.problemsOf('jobCancelled', 'problem', [
        ...codesOf(context),
        ...(['job_not_found', 'job_finished'] as const),
      ]),
    },
  };
}

const pageSchema = z.object({
  jobs: z.array(jobSummarySchema),
  next: z.string().optional().describe('The `after` of the next page, if there is one.'),
});

function listJobs(context: Context): Operation {
  const { parts } = context;
  return {
    operationId: 'listJobs',
    summary: "List the caller's jobs",
    description: 'The last one first. With a filter, a page may be short although more follow.',
    tags,
    parameters: [
      inQuery('limit', 'The most jobs on a page.', z.int().min(1).max(pageSizeMax)),
      inQuery(
        'after',
        'The `next` of the page before.',
        z.string().regex(/^[0-9]{1,15}(?:\.[0-9]{1,15})?_[A-Za-z0-9_-]{1,100}$/),
      ),
      inQuery('model', 'Only jobs of this model.', z.string()),
      inQuery('state', 'Only jobs in this state.', z.enum(stateNames)),
    ],
    responses: {
      ...context.answer('The jobs.', parts.schema('Jobs', pageSchema)),
      ...context.problemsOf('jobs', 'problem', [...codesOf(context), 'parameter_invalid']),
    },
  };
}

function inQuery(name: string, description: string, schema: z.ZodType): Parameter {
  return { name, in: 'query', description, schema: toSchema(schema) };
}

function oneJob({ answer, parts }: Context, description: string) {
  return answer(description, parts.schema('Job', jobSchema));
}

function codesOf(context: Context): readonly ErrorCode[] {
  return [...accessCodes(context), 'queue_unavailable'];
}
