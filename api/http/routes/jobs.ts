// The routes of jobs: requests that are answered later. They belong to the caller that made them.

import type { Express, Request, Response } from 'express';
import { nowMs } from '../../../shared/clock.js';
import { ScorelineError } from '../../../shared/errors.js';
import type { Calls } from '../../call/calls.js';
import type { Deferred } from '../../call/deferral.js';
import { addressOf, writeSummary } from '../../jobs/job-document.js';
import type { JobRecord } from '../../jobs/job-record.js';
import { isPending, type JobState, stateNames } from '../../jobs/job-states.js';
import type { Cursor } from '../../jobs/job-store.js';
import { type Jobs, shownState } from '../../jobs/jobs.js';
import type { Standing } from '../../jobs/waiting-lines.js';
import type { PendingWebhooks } from '../../webhooks/pending-webhooks.js';
import { sendJsonText } from '../answers/json.js';
import { isGone } from '../connection/departure.js';
import { callerOf } from '../gate/gate.js';
import { allow } from '../gate/methods.js';
import { needs } from '../gate/needs.js';
import { readPreferences } from '../parameters/preferences.js';
import { type WriteJobFor, whereModelFor, writeJobFor } from './job-answer.js';

const list = '/v1/jobs';
const one = '/v1/jobs/:job';
export const pageSizeMax = 100;
const retrySecondsMax = 60;

export interface JobParts extends WriteJobFor {
  readonly calls: Pick<Calls, 'isShuttingDown'>;
  readonly jobs: Pick<Jobs, 'find' | 'read' | 'list' | 'cancel' | 'standingOf'>;
  readonly webhooks: Pick<PendingWebhooks, 'read'>;
}

export function addJobRoutes(app: Express, parts: JobParts): void {
  const { calls, jobs } = parts;
  const mayUse = needs('score', 'jobs');

  const findJob = (request: Request) => jobs.find(callerOf(request).id, String(request.params.job));

  app.get(list, mayUse, async (request, response) => {
    const caller = callerOf(request);
    const whereModel = whereModelFor(caller, parts);
    const { jobs: found, next } = await jobs.list(caller.id, readPage(request), whereModel);
    const summaries = found.map(writeSummary).join();
    const cursor = next ? `,"next":${JSON.stringify(writeCursor(next))}` : '';
    sendJsonText(response, `{"jobs":[${summaries}]${cursor}}`);
  });

  app.get(one, mayUse, async (request, response) => {
    const preferences = readPreferences(request, {});
    const record = await findJob(request);
    const hasLeft = () => isGone(response) || calls.isShuttingDown;
    const state = await jobs.read(record, preferences?.waitMs, hasLeft);
    if (preferences) response.setHeader('Preference-Applied', preferences.applied);
    await sendJob(response, { record, state }, parts);
  });

  app.delete(one, mayUse, async (request, response) => {
    const record = await findJob(request);
    const state = await jobs.cancel(record, whereModelFor(callerOf(request), parts));
    await sendJob(response, { record, state }, parts);
  });

  app.all(list, allow('GET', 'HEAD'));
  app.all(one, allow('GET', 'HEAD', 'DELETE'));
}

/** Answers a request with its job, because the answer itself comes later. */
export function sendAccepted(response: Response, { job: record, state }: Deferred): void {
  response.setHeader('Location', addressOf(record));
  if (isPending({ state })) response.setHeader('Retry-After', '1');
  const text = writeSummary({ record, state });
  sendJsonText(response, text, { status: 202 });
}

async function sendJob(
  response: Response,
  { record, state }: { record: JobRecord; state: JobState },
  parts: JobParts,
): Promise<void> {
  const [standing, webhook] = await Promise.all([
    state.state === 'queued' ? parts.jobs.standingOf(record) : undefined,
    record.webhook === undefined ? undefined : parts.webhooks.read(record.id),
  ]);
  if (isGone(response)) return;
  const caller = callerOf(response.req);
  const shown = shownState(record, state.state, whereModelFor(caller, parts));
  if (isPending({ state: shown })) {
    response.setHeader('Retry-After', String(retrySecondsOf(record, standing)));
  }
  const text = writeJobFor(caller, { record, state, standing, webhook }, parts);
  sendJsonText(response, text);
}

/** While it is not known how long a job will wait: one that has waited for long will wait for a while. */
function retrySecondsOf({ submittedAt }: JobRecord, standing: Standing | undefined): number {
  const waitMs = standing?.estimatedWaitMs;
  const seconds =
    waitMs === undefined ? Math.round((nowMs() - submittedAt) / 10_000) : Math.ceil(waitMs / 1000);
  return Math.min(Math.max(seconds, 1), retrySecondsMax);
}

function readPage({ query }: Request): Parameters<Jobs['list']>[1] {
  const { limit, after, model, state, ...others } = query;
  const [unknown] = Object.keys(others);
  // A filter with a slip would list all jobs.
  if (unknown !== undefined) throw invalid('no parameters but limit, after, model, state', unknown);
  const count = limit === undefined ? pageSizeMax : Number(/^\d+$/.exec(String(limit))?.[0]);
  if (!(count >= 1 && count <= pageSizeMax)) {
    throw invalid(`"limit" to be a whole number from 1 to ${pageSizeMax}`, limit);
  }
  if (state !== undefined && !stateNames.some((name) => name === state)) {
    throw invalid(`"state" to be one of ${stateNames.join(', ')}`, state);
  }
  if (model !== undefined && typeof model !== 'string') {
    throw invalid('"model" to be the name of a model', model);
  }
  return { count, after: readCursor(after), filter: { model, state: state as JobState['state'] } };
}

function writeCursor({ submittedAt, id }: Cursor): string {
  return `${submittedAt}_${id}`;
}

function readCursor(text: unknown): Cursor | undefined {
  if (text === undefined) return undefined;
  const [, time, id] = /^(\d{1,15}(?:\.\d{1,15})?)_([\w-]{1,100})$/.exec(String(text)) ?? [];
  if (time === undefined || id === undefined) {
    throw invalid('"after" to be the "next" of a page before', text);
  }
  return { submittedAt: Number(time), id };
}

function invalid(expected: string, got: unknown): ScorelineError {
  return new ScorelineError(
    'parameter_invalid',
    `Expected ${expected}; got ${String(JSON.stringify(got)).slice(0, 60)}.`,
  );
}
