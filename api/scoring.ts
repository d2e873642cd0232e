// The way of a request through the API: permit, preparation, queue, reply. One that may be repeated
// goes by api/repeat/repeatable.ts.

import type { Response } from 'express';
import { nowMs } from '../shared/clock.js';
import { ScorelineError } from '../shared/errors.js';
import type { Model } from '../shared/models.js';
import type { Admission, AdmissionRequest, Permit } from './admission/admission.js';
import type { InputKinds, RawInput } from './kinds/kinds.js';
import type { Dispatcher, PreparedInput, Ticket } from './queue/dispatcher.js';
import { clientClosed, type ScoredReply } from './queue/waiters.js';
import { makeScoreRepeatable } from './repeat/repeatable.js';
import type { Results } from './repeat/results.js';

export interface ScoreRequest {
  readonly model: Model;
  readonly inputs: readonly RawInput[];
  readonly top: number;
  readonly deadlineAt: number;
  /** The caller's `Idempotency-Key`. */
  readonly key?: string | undefined;
}

export interface Scoring {
  /**
   * Throws what `score` would throw now for want of room, and takes nothing.
   * @throws ScorelineError `overloaded`, `shutting_down`
   */
  check(model: Model, deadlineAt: number): void;
  /** Scores the inputs of one request; one reply for each, in order. */
  score(request: ScoreRequest, response: Response): Promise<ScoredReply[]>;
}

/** @throws ScorelineError `overloaded` */
export type Admit = (request: ScoreRequest) => Permit;
/** Validates the inputs and makes them ready for the worker. */
export type Prepare = (request: ScoreRequest) => Promise<PreparedInput[]>;

export function makeScoring(options: {
  admission: Admission;
  kinds: InputKinds;
  dispatcher: Dispatcher;
  results: Results;
  isClosing: () => boolean;
}): Scoring {
  const { admission, kinds, dispatcher, results, isClosing } = options;

  const toAdmit = (model: Model, count: number, deadlineAt: number): AdmissionRequest => {
    if (isClosing()) throw shuttingDown();
    return {
      queue: model.queue,
      batchMax: model.manifest.batch.max,
      count,
      deadlineMs: deadlineAt - nowMs(),
    };
  };

  const admit: Admit = ({ model, inputs, deadlineAt }) =>
    admission.admit(toAdmit(model, inputs.length, deadlineAt));

  const prepare: Prepare = ({ model, inputs }) => {
    const kind = kinds[model.manifest.input.kind];
    return Promise.all(inputs.map((input) => kind.prepare(input, model)));
  };

  const scoreRepeatable = makeScoreRepeatable({ admit, prepare, dispatcher, results });

  const score: Scoring['score'] = async (request, response) => {
    if (request.key !== undefined) return scoreRepeatable(request, request.key, response);
    const { model, top, deadlineAt } = request;
    const permit = admit(request);
    const tickets: Ticket[] = [];
    let isAnswered = false;
    const cancel = () => {
      for (const ticket of tickets) ticket.cancel();
    };
    response.once('close', cancel);
    try {
      const prepared = await prepare(request);
      if (response.destroyed) throw clientClosed();
      for (const input of prepared) {
        tickets.push(dispatcher.submit({ model, input, top, deadlineAt }));
      }
      const replies = await Promise.all(tickets.map((ticket) => ticket.reply));
      isAnswered = true;
      return replies;
    } finally {
      response.off('close', cancel);
      // When one input of several has failed, nobody waits for the others.
      cancel();
      permit.release(isAnswered);
    }
  };

  return {
    check: (model, deadlineAt) => admission.check(toAdmit(model, 1, deadlineAt)),
    score,
  };
}

function shuttingDown(): ScorelineError {
  return new ScorelineError(
    'shutting_down',
    'This instance is shutting down. Ask again: another one will answer.',
    { retryAfterSeconds: 1 },
  );
}
