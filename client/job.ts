// Jobs: requests that are answered later, and what they end with.

import { parseExactly } from '../shared/exact-json.js';
import type { Job as AnyJob, InferResponse, JobSummary } from './answers.js';
import { answerUnexpected, ScorelineError } from './errors.js';
import { parseNumbers } from './exact-numbers.js';
import { type Members, wrongMembers } from './exchange.js';
import { decodeOutputs } from './outputs.js';
import type { Score } from './score.js';
import type { OutputTensor } from './tensors.js';

/** What a model answered to tensors. */
export interface Inference {
  readonly model: string;
  readonly version: string;
  /** The id that the request had. */
  readonly id?: string | undefined;
  /** By name. */
  readonly outputs: Readonly<Record<string, OutputTensor>>;
}

type Known = Omit<AnyJob, 'state' | 'result' | 'problem'>;

/** A job, with its result or its problem if it has one. */
export type Job<Result = Score | Inference> = Known &
  (
    | { readonly state: 'queued' | 'running' | 'expired' }
    | { readonly state: 'succeeded'; readonly result: Result }
    | {
        readonly state: 'failed' | 'cancelled';
        readonly problem: NonNullable<AnyJob['problem']>;
      }
  );

export type SucceededJob<Result = Score | Inference> = Extract<
  Job<Result>,
  { readonly state: 'succeeded' }
>;

declare const resultOf: unique symbol;

/** A job that was submitted. Only its type knows what its result will be. */
export type SubmittedJob<Result> = JobSummary & { readonly [resultOf]?: Result };

/** A job, or its id. */
export type JobRef<Result = Score | Inference> = string | SubmittedJob<Result> | Pick<Job, 'id'>;

export function idOf(job: JobRef<unknown>): string {
  return typeof job === 'string' ? job : job.id;
}

export function isPending({ state }: Pick<AnyJob, 'state'>): boolean {
  return state === 'queued' || state === 'running';
}

/** What an answer to tensors has. */
export const inferenceMembers: Members = {
  ...({ model_name: 'text', model_version: 'text' } as const),
  outputs: 'objects',
};

/** What a job has in each of its states. */
const membersIn: Readonly<Record<AnyJob['state'], Members>> = {
  ...{ queued: {}, running: {}, expired: {} },
  succeeded: { result: 'object' },
  failed: { problem: 'object' },
  cancelled: { problem: 'object' },
};

/**
 * Reads a job as the service answers it, in JSON.
 * @throws ScorelineError `answer_unexpected`; SyntaxError
 */
export function readJob<Result>(json: string): Job<Result> {
  const job: AnyJob = JSON.parse(json);
  checkJob(job);
  if (!job.result || !('model_name' in job.result)) return parseNumbers(json);
  // Tensors may hold whole numbers beyond 2 ** 53.
  const { result } = parseExactly(json) as { result: InferResponse };
  return { ...job, result: readInference(result) } as unknown as Job<Result>;
}

function checkJob(job: AnyJob): void {
  let wrong = wrongMembers(job, { id: 'text', state: 'text' });
  if (wrong.length === 0) {
    const { state, result, problem } = job;
    if (!Object.hasOwn(membersIn, state)) {
      throw answerUnexpected(`Expected the state of a job; got ${JSON.stringify(state)}.`);
    }
    wrong = wrongMembers(job, membersIn[state]);
    if (problem) wrong.push(...wrongMembers(problem, { code: 'text', detail: 'text' }));
    if (result && 'model_name' in result) wrong.push(...wrongMembers(result, inferenceMembers));
  }
  if (wrong.length > 0) {
    throw answerUnexpected(`Expected a job of the service; it has no proper ${wrong}.`);
  }
}

export function readInference(response: InferResponse, binary?: Uint8Array): Inference {
  const { model_name: model, model_version: version, id, outputs } = response;
  const decoded = decodeOutputs(outputs, binary).map((output) => [output.name, output] as const);
  return { model, version, ...(id !== undefined && { id }), outputs: Object.fromEntries(decoded) };
}

/**
 * Returns a job that has ended if it has succeeded.
 * @throws ScorelineError its problem, or `job_expired`
 */
export function succeededOf<Result>(job: Job<Result>, requestId: string): SucceededJob<Result> {
  if (job.state === 'succeeded') return job;
  if ('problem' in job) {
    const { problem } = job;
    const { status, code, detail } = problem;
    const { type = `urn:scoreline:error:${code}`, title = code } = problem as {
      type?: string;
      title?: string;
    };
    throw new ScorelineError(detail, {
      ...{ status, code, requestId },
      problem: { ...{ type, title }, status, code, detail },
    });
  }
  throw new ScorelineError(
    `Expected the job ${job.id} to succeed; it has expired: no worker took it before its deadline, or its result is no longer kept. Submit it again, with a longer deadlineMs.`,
    { code: 'job_expired', requestId },
  );
}
