// The way of a request with an `Idempotency-Key`: it may be sent again, to this API instance or to
// another one, and has one result.
//
// In this process the repeats of a request in flight join it (api/repeat/flights.ts). Between processes
// the results in Redis decide: what is there is answered at once, what is missing is sent under the
// same ids, and of two replies to an item the first that a worker keeps is the result.
//
// A client that hangs up cancels nothing: it is expected to ask again. Failures that say nothing
// about the input (no room, no queue, no time) are no results; a repeat starts anew.

import type { Response } from 'express';
import type { Reply } from '../../shared/wire.js';
import type { Permit } from '../admission/admission.js';
import type { Dispatcher, PreparedInput } from '../queue/dispatcher.js';
import { clientClosed, errorOfReply, type ScoredReply } from '../queue/waiters.js';
import type { Admit, Prepare, ScoreRequest } from '../scoring.js';
import { makeFlights } from './flights.js';
import { type Identity, identify } from './idempotency.js';
import type { Known, Results } from './results.js';

interface Outcome {
  readonly replies: readonly Reply[];
  /** All of it was there before. */
  readonly isReplayed: boolean;
}

export function makeScoreRepeatable(options: {
  admit: Admit;
  prepare: Prepare;
  dispatcher: Dispatcher;
  results: Results;
}): (request: ScoreRequest, key: string, response: Response) => Promise<ScoredReply[]> {
  const { admit, prepare, dispatcher, results } = options;
  const flights = makeFlights<Outcome>();

  const fly = async (request: ScoreRequest, identity: Identity): Promise<Outcome> => {
    let permit: Permit;
    try {
      permit = admit(request);
    } catch (refusal) {
      // There is no room for work, but what is there already is none.
      const { replies } = await results.look(identity);
      if (replies.every(isThere)) return { replies, isReplayed: true };
      throw refusal;
    }
    let isAnswered = false;
    try {
      const known = await results.claim(identity, request.deadlineAt);
      if (known.replies.every(isThere)) return { replies: known.replies, isReplayed: true };
      const inputs = await prepareOrRelease(request, identity, known);
      const replies = await scoreMissing(request, identity, known, inputs);
      isAnswered = true;
      return { replies, isReplayed: false };
    } finally {
      permit.release(isAnswered);
    }
  };

  /** A request that is turned down for its inputs leaves its key free for the corrected one. */
  const prepareOrRelease = async (request: ScoreRequest, identity: Identity, known: Known) => {
    try {
      return await prepare(request);
    } catch (error) {
      if (known.isNew) results.release(identity);
      throw error;
    }
  };

  const scoreMissing = async (
    { model, top, deadlineAt }: ScoreRequest,
    { ids }: Identity,
    known: Known,
    inputs: readonly PreparedInput[],
  ): Promise<Reply[]> => {
    const waiting = inputs.map((input, index) => {
      const keep = { id: ids[index] as string, keepMs: results.keepMs };
      return (
        known.replies[index] ?? dispatcher.submit({ model, input, top, deadlineAt, keep }).reply
      );
    });
    // All of them, also when one has failed: until then a repeat would wait for the same ids.
    const settled = await Promise.allSettled(waiting);
    return settled.map((each) => {
      if (each.status === 'rejected') throw each.reason;
      return each.value;
    });
  };

  return async (request, key, response) => {
    const { model, inputs, top, deadlineAt } = request;
    const identity = identify(key, { queue: model.queue, top, inputs });
    const hangUp = new AbortController();
    const onClose = () => hangUp.abort();
    response.once('close', onClose);
    try {
      if (response.destroyed) throw clientClosed();
      const name = `${identity.scope} ${identity.fingerprint}`;
      const waiter = { deadlineAt, left: hangUp.signal };
      const { replies, isReplayed } = await flights.join(name, waiter, () =>
        fly(request, identity),
      );
      if (isReplayed) response.setHeader('Idempotency-Replayed', 'true');
      return replies.map(scoredOrThrow);
    } finally {
      response.off('close', onClose);
    }
  };
}

function isThere(reply: Reply | undefined): reply is Reply {
  return reply !== undefined;
}

function scoredOrThrow(reply: Reply): ScoredReply {
  if ('error' in reply) throw errorOfReply(reply);
  return reply;
}
