// Scores a request of the Open Inference Protocol, whichever way it came.

import { ScorelineError } from '../../shared/errors.js';
import { shown } from '../../shared/shown.js';
import type { Tensor } from '../../shared/tensors/tensors.js';
import type { Call } from '../call/call.js';
import { readDeadlineMs } from '../http/parameters/parameters.js';
import type { Scoring } from '../scoring.js';
import type { InferRequest } from './infer-request.js';
import { splitRows } from './rows.js';

/**
 * Scores a request to the model of its call, and takes its inputs. Resolves with the outputs of each item.
 * @throws ScorelineError `deadline_invalid`, `overloaded`, and the errors of `scoring`
 */
export async function scoreInference(
  scoring: Pick<Scoring, 'scoreTensors'>,
  call: Call,
  asked: InferRequest,
): Promise<(readonly Tensor[])[]> {
  const deadlineMs = deadlineOf(asked);
  if (deadlineMs !== undefined) call.limitDeadline(call.arrivedAt + deadlineMs);
  const { model } = call;
  call.assign(model, asked.rows);
  const outputs = asked.isSelective ? asked.outputs.map(({ name }) => name) : undefined;
  const { max } = model.manifest.batch;
  const items = splitRows(asked.inputs, { rows: asked.rows, max });
  asked.inputs = [];
  const replies = await scoring.scoreTensors(call, items, outputs);
  return replies.map((reply) => reply.outputs);
}

/**
 * Reads how long the caller waits: `deadlineMs`, or the `timeout` in microseconds that clients of Triton
 * send, whichever is shorter.
 * @throws ScorelineError `deadline_invalid`
 */
function deadlineOf({ parameters }: InferRequest): number | undefined {
  const { timeout } = parameters;
  const deadlineMs = readDeadlineMs(parameters);
  // Clients of Triton send 0 for no limit.
  if (timeout === undefined || timeout === 0) return deadlineMs;
  if (!Number.isSafeInteger(timeout) || (timeout as number) < 0) {
    throw new ScorelineError(
      'deadline_invalid',
      `Expected timeout to be a whole number of microseconds; got ${shown(timeout)}.`,
    );
  }
  return Math.min((timeout as number) / 1000, deadlineMs ?? Number.POSITIVE_INFINITY);
}
