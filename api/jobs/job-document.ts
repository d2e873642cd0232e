// Writes a job as JSON: what is known of it, its state, and then its result or its problem.
//
// The result is the answer that the client would have got at once, by the route that it asked. Tensors are
// in JSON in it, also where the client asked for binary ones.

import { problemOf, ScorelineError } from '../../shared/errors.js';
import type { Model } from '../../shared/registry/models.js';
import type { ScoredReply } from '../../shared/wire/reply.js';
import { writeInferResponse } from '../inference/infer-response.js';
import { inOneGo } from '../inference/json-tensor.js';
import { writePrediction } from '../inference/predict-response.js';
import { writeNativeAnswer, writePredictions, writeReferenceAnswer } from '../kinds/answers.js';
import type { InputKinds } from '../kinds/kinds.js';
import { totalMs } from '../statistics.js';
import { describeWebhook, type Webhook } from '../webhooks/webhook.js';
import type { JobRecord } from './job-record.js';
import { type Job, type ListedJob, shownState, type WhereModel } from './jobs.js';
import type { Standing } from './waiting-lines.js';

/** Writes a job without its result. */
export function writeSummary({ record, state }: ListedJob): string {
  const { id, model, version, submittedAt, deadlineAt } = record;
  return JSON.stringify({
    id,
    state,
    model,
    version,
    submittedAt: toText(submittedAt),
    deadlineAt: toText(deadlineAt),
  });
}

/** A job with its place in the line, if that is known, and with its webhook, if it has one. */
export interface StandingJob extends Job {
  readonly standing?: Standing | undefined;
  readonly webhook?: Webhook | undefined;
}

/** Writes a job, on one line. */
export function writeJob(job: StandingJob, parts: Parts): string {
  const { record, state, standing, webhook } = job;
  const { kinds, model, where } = parts;
  const shown = shownState(record, state.state, () => where);
  const head = writeSummary({ record, state: shown }).slice(0, -1);
  const end = webhook ? `,"webhook":${JSON.stringify(describeWebhook(webhook))}}` : '}';
  if (standing) return `${head},${JSON.stringify(standing).slice(1, -1)}${end}`;
  if ('error' in state) return `${head},"problem":${JSON.stringify(problemOf(state.error))}${end}`;
  if (!('replies' in state) || !model) return `${head}${end}`;
  try {
    return `${head},"result":${writeResult(kinds, model, { record, replies: state.replies })}${end}`;
  } catch (error) {
    // Whether the outputs of several items belong together shows only here.
    if (!(error instanceof ScorelineError)) throw error;
    return writeJob({ record, state: { state: 'failed', error }, webhook }, parts);
  }
}

/** Returns the path of a job. */
export function addressOf({ id }: Pick<JobRecord, 'id'>): string {
  return `/v1/jobs/${id}`;
}

export interface Parts {
  readonly kinds: InputKinds;
  /** The model of the job; undefined if it is not served to the caller any more. */
  readonly model: Model | undefined;
  readonly where: ReturnType<WhereModel>;
}

/** Writes the answer that the client would have got at once. */
export function writeResult(
  kinds: InputKinds,
  model: Model,
  { record: { form }, replies }: { record: JobRecord; replies: readonly ScoredReply[] },
): string {
  if (form.route === 'native') {
    return writeNativeAnswer(kinds, model, replies[0] as ScoredReply);
  }
  if (form.route === 'reference') {
    const ms = Math.max(...replies.map(({ timing }) => totalMs(timing)));
    return writeReferenceAnswer(kinds, model, { replies, names: form.names, ms });
  }
  const items = replies.map((reply) => reply.outputs);
  if (form.route === 'predict') {
    if (form.outputs.length === 0) return writePredictions(kinds, model, replies);
    return inOneGo(writePrediction(model, form, items));
  }
  const outputs = form.outputs.map((output) => ({ ...output, isBinary: false }));
  return writeInferResponse(model, { id: form.id, outputs }, items).json;
}

function toText(ms: number): string {
  return new Date(ms).toISOString();
}
