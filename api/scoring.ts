// The way of a request through the API: permit, preparation, queue, reply.

import type { Response } from 'express';
import { nowMs } from '../shared/contract.js';
import { ScorelineError } from '../shared/errors.js';
import type { Model } from '../shared/models.js';
import type { Admission, AdmissionRequest } from './admission.js';
import type { Dispatcher, Ticket } from './dispatcher.js';
import type { InputKinds, RawInput } from './kinds.js';
import type { ScoredReply } from './replies.js';

export interface ScoreRequest {
  readonly model: Model;
  readonly inputs: readonly RawInput[];
  readonly top: number;
  readonly deadlineAt: number;
}

export interface Scoring {
  /**
   * Refuses a request before its body is read, where it would be refused afterwards anyway. Reading
   * and decoding what is then refused is what a service under overload would mostly do.
   */
  check(model: Model, deadlineAt: number): void;
  /** Scores the inputs of one request; one reply for each, in order. */
  score(request: ScoreRequest, response: Response): Promise<ScoredReply[]>;
}

export function makeScoring(options: {
  admission: Admission;
  kinds: InputKinds;
  dispatcher: Dispatcher;
  isClosing: () => boolean;
}): Scoring {
  const { admission, kinds, dispatcher, isClosing } = options;

  const toAdmit = (model: Model, count: number, deadlineAt: number): AdmissionRequest => {
    if (isClosing()) throw shuttingDown();
    return {
      queue: model.queue,
      batchMax: model.manifest.batch.max,
      count,
      deadlineMs: deadlineAt - nowMs(),
    };
  };

  const score: Scoring['score'] = async ({ model, inputs, top, deadlineAt }, response) => {
    const permit = admission.admit(toAdmit(model, inputs.length, deadlineAt));
    const tickets: Ticket[] = [];
    let isAnswered = false;
    const cancel = () => {
      for (const ticket of tickets) ticket.cancel();
    };
    response.once('close', cancel);
    try {
      const kind = kinds[model.manifest.input.kind];
      const prepared = await Promise.all(inputs.map((input) => kind.prepare(input, model)));
      if (response.destroyed) throw new ScorelineError('client_closed', 'The client hung up.');
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
