// The message of a webhook, in the form of Standard Webhooks: a type, the time, and the job's document.
//
// What it says of the end of the job is written once and kept, so each attempt says the same, also when the result
// is no longer kept. The result stands in it as long as it is there, and is not too large.

import { problemOf, ScorelineError } from '../../shared/errors.js';
import { addressOf, type Parts, writeResult, writeSummary } from '../jobs/job-document.js';
import { type Job, shownState } from '../jobs/jobs.js';

export interface EventParts extends Pick<Parts, 'kinds' | 'model'> {
  /** The most bytes of a message with a result. */
  readonly bytesMax: number;
  readonly now: Date;
}

/** A message: what is kept of it, and what is sent. */
export interface Event {
  readonly kept: string;
  readonly body: string;
}

/**
 * Writes the message about a job that has ended.
 * @param kept what an earlier attempt has kept of it
 */
export function writeEvent(job: Job, kept: string | undefined, parts: EventParts): Event {
  const { problem, result } = endOf(job, parts);
  const head = kept ?? writeHead(job, problem, parts);
  if (result === undefined) return { kept: head, body: head };
  const whole = `${head.slice(0, -'}}'.length)},"result":${result}}}`;
  return { kept: head, body: Buffer.byteLength(whole) > parts.bytesMax ? head : whole };
}

/** Writes the result, as long as there is one. */
function endOf(
  { record, state }: Job,
  { kinds, model }: EventParts,
): { problem?: ScorelineError; result?: string } {
  if ('error' in state) return { problem: state.error };
  // Labels and names of outputs are those of the model.
  if (!('replies' in state) || !model) return {};
  try {
    return { result: writeResult(kinds, model, { record, replies: state.replies }) };
  } catch (error) {
    // Whether the outputs of several items belong together shows only here.
    if (error instanceof ScorelineError) return { problem: error };
    throw error;
  }
}

function writeHead(
  { record, state }: Job,
  problem: ScorelineError | undefined,
  { now, model }: EventParts,
): string {
  // The document of the job shows the same state.
  const name =
    problem && 'replies' in state
      ? 'failed'
      : shownState(record, state.state, () => (model ? 'here' : 'gone'));
  const data = {
    ...JSON.parse(writeSummary({ record, state: name })),
    location: addressOf(record),
    ...(problem && { problem: problemOf(problem) }),
  };
  return JSON.stringify({ type: `job.${name}`, timestamp: now.toISOString(), data });
}
