// What an asynchronous caller says and hears: requests that become jobs, and the documents of jobs.

import { setTimeout as delay } from 'node:timers/promises';
import type { Client, Outcome, Response } from './client.js';

/** How long one request for a job waits for its end. */
const waitSeconds = 5;
const answerWithinMs = 10_000;
const askAgainMs = 100;

/** The part of a job's document that a run looks at. */
export interface JobDocument {
  readonly id: string;
  readonly state: string;
  readonly result?: object;
  readonly problem?: { readonly status: number };
}

/** Returns a request with further header fields. */
export function withFields(request: Buffer, fields: Readonly<Record<string, string>>): Buffer {
  const at = request.indexOf('\r\n') + 2;
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([
    request.subarray(0, at),
    Buffer.from(lines.join('')),
    request.subarray(at),
  ]);
}

/** Returns the id of the job that a request became; undefined if it became none. */
export function acceptedJob(outcome: Outcome): string | undefined {
  if (outcome.type !== 'response' || outcome.response.status !== 202) return undefined;
  return readDocument(outcome.response).id;
}

export function readDocument({ body }: Response): JobDocument {
  return JSON.parse(body) as JobDocument;
}

/** Cancels a job, and asks again while the service cannot answer. Resolves to the status of the answer. */
export async function cancelJob(client: Client, job: string): Promise<number> {
  const request = encode('DELETE', job);
  for (;;) {
    const outcome = await client.ask(request, answerWithinMs);
    if (!isMomentary(outcome)) return outcome.response.status;
    await delay(askAgainMs);
  }
}

/**
 * Reads a job until it has ended, and asks again while the service cannot answer. Resolves to its document,
 * to the response if that is none, or to undefined when `isOver` says so.
 */
export async function readEnded(
  client: Client,
  job: string,
  isOver: () => boolean,
): Promise<JobDocument | Response | undefined> {
  const request = encode('GET', job, `Prefer: wait=${waitSeconds}\r\n`);
  while (!isOver()) {
    const outcome = await client.ask(request, answerWithinMs);
    if (isMomentary(outcome)) {
      await delay(askAgainMs);
      continue;
    }
    const { response } = outcome;
    if (response.status !== 200) return response;
    const document = readDocument(response);
    if (document.state !== 'queued' && document.state !== 'running') return document;
  }
  return undefined;
}

/** Returns a document as the outcome that its request would have had, if it had waited. */
export function asOutcome(found: JobDocument | Response | undefined): Outcome {
  if (found === undefined) return { type: 'silence' };
  if ('status' in found) return { type: 'response', response: found };
  const { state, result, problem } = found;
  if (state === 'succeeded') return respond(200, result);
  if (state === 'expired') return respond(504, { code: 'deadline_exceeded' });
  return respond(problem?.status ?? 500, problem);
}

function respond(status: number, body: unknown): Outcome {
  const response = { status, headers: new Map(), body: JSON.stringify(body) };
  return { type: 'response', response };
}

type Answered = Extract<Outcome, { type: 'response' }>;

function isMomentary(outcome: Outcome): outcome is Exclude<Outcome, Answered> {
  return outcome.type !== 'response' || [429, 503].includes(outcome.response.status);
}

function encode(method: string, job: string, fields = ''): Buffer {
  return Buffer.from(`${method} /v1/jobs/${job} HTTP/1.1\r\nHost: 127.0.0.1\r\n${fields}\r\n`);
}
