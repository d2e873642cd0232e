// The way of a request through the API: permit, preparation, queue, reply.

import type { Response } from 'express';
import { nowMs } from '../shared/contract.js';
import { ScorelineError } from '../shared/errors.js';
import type { Model } from '../shared/models.js';
import type { Admission } from './admission.js';
import type { Dispatcher, Ticket } from './dispatcher.js';
import type { InputKinds, RawInput } from './kinds.js';
import type { ScoredReply } from './replies.js';

export interface ScoreRequest {
  readonly model: Model;
  readonly inputs: readonly RawInput[];
  readonly top: number;
  readonly deadlineAt: number;
}

/** Scores the inputs of one request; one reply for each, in order. */
export type Score = (request: ScoreRequest, response: Response) => Promise<ScoredReply[]>;

export function makeScore(options: {
  admission: Admission;
  kinds: InputKinds;
  dispatcher: Dispatcher;
  isClosing: () => boolean;
}): Score {
  const { admission, kinds, dispatcher, isClosing } = options;

  return async ({ model, inputs, top, deadlineAt }, response) => {
    if (isClosing()) throw shuttingDown();
    const permit = admission.admit({
      queue: model.queue,
      batchMax: model.manifest.batch.max,
      count: inputs.length,
      deadlineMs: deadlineAt - nowMs(),
    });
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
}

function shuttingDown(): ScorelineError {
  return new ScorelineError(
    'shutting_down',
    'This instance is shutting down. Ask again: another one will answer.',
    { retryAfterSeconds: 1 },
  );
}
