// The way of a call with an `Idempotency-Key`: it may be sent again, to this API instance or to
// another one, and has one result.
//
// In this process the repeats of a request in flight join it (flights.ts). Between processes the
// results in Redis decide (results.ts): a result that is there is answered at once, missing items are
// sent under the same ids, and of two replies to an item the first that a worker keeps is the result.
//
// A client that hangs up cancels nothing, since it is expected to ask again. So the work belongs to
// a call of its own, the *flight*. Failures that say nothing about the input (no room, no queue, no
// time) are not results; a repeat starts anew.

import type { Reply } from '../../shared/reply.js';
import type { Tensor } from '../../shared/tensors.js';
import type { Call, Calls } from '../call.js';
import { errorOfReply, type ScoredReply } from '../queue/waiters.js';
import { makeFlights } from './flights.js';
import type { Identity } from './identity.js';
import type { KeptReplies, Results } from './results.js';

/** What is done once for all who wait with a key. */
export interface Work {
  /** Validates the inputs; one list of tensors for each. */
  prepare(flight: Call): Promise<readonly (readonly Tensor[])[]>;
  /** Sends items whose replies are kept for so long. */
  submit(
    flight: Call,
    items: readonly { readonly id: string; readonly inputs: readonly Tensor[] }[],
    keepMs: number,
  ): Promise<ScoredReply>[];
}

export interface Repeatable {
  /** One reply for each of the identity's ids, in order. Says to the call whether it is replayed. */
  score(call: Call, identity: Identity, work: Work): Promise<readonly ScoredReply[]>;
}

interface Outcome {
  readonly replies: readonly Reply[];
  /** All of them were there before. */
  readonly isReplayed: boolean;
}

export function makeRepeatable(options: {
  calls: Pick<Calls, 'openFlight'>;
  results: Results;
}): Repeatable {
  const { calls, results } = options;
  const flights = makeFlights<Outcome>();

  const fly = async (call: Call, identity: Identity, work: Work): Promise<Outcome> => {
    let flight: Call;
    try {
      flight = calls.openFlight(call);
    } catch (refusal) {
      // There is no room for work, but a result that is there needs none.
      const { replies } = await results.look(identity);
      if (replies.every(isThere)) return { replies, isReplayed: true };
      throw refusal;
    }
    let isAnswered = false;
    try {
      const kept = await results.claim(identity, flight.deadlineAt);
      if (kept.replies.every(isThere)) return { replies: kept.replies, isReplayed: true };
      const replies = await scoreMissing(flight, { identity, kept, work });
      isAnswered = true;
      return { replies, isReplayed: false };
    } finally {
      flight.end(isAnswered);
    }
  };

  const scoreMissing = async (
    flight: Call,
    { identity, kept, work }: { identity: Identity; kept: KeptReplies; work: Work },
  ): Promise<Reply[]> => {
    const prepared = await prepareOrRelease(flight, { identity, kept, work });
    const missing = identity.ids
      .map((id, index) => ({ id, index, inputs: prepared[index] ?? [] }))
      .filter(({ index }) => !isThere(kept.replies[index]));
    // All of them, also when one has failed: until then a repeat would wait for the same ids.
    const settled = await Promise.allSettled(work.submit(flight, missing, results.keepMs));
    const replies = [...kept.replies];
    for (const [at, each] of settled.entries()) {
      if (each.status === 'rejected') throw each.reason;
      replies[(missing[at] as { index: number }).index] = each.value;
    }
    return replies as Reply[];
  };

  /** A request that is refused for its inputs leaves its key free for the corrected one. */
  const prepareOrRelease = async (
    flight: Call,
    { identity, kept, work }: { identity: Identity; kept: KeptReplies; work: Work },
  ) => {
    try {
      return await work.prepare(flight);
    } catch (error) {
      if (kept.isNew) results.release(identity);
      throw error;
    }
  };

  return {
    async score(call, identity, work) {
      const name = `${identity.scope} ${identity.fingerprint}`;
      const joined = flights.join(name, call, () => fly(call, identity, work));
      // Only a flight needs a permit, not those who wait for it.
      call.handOver()?.release(false);
      const { replies, isReplayed } = await joined;
      call.isReplayed = isReplayed;
      return replies.map(scoredOrThrow);
    },
  };
}

function isThere(reply: Reply | undefined): reply is Reply {
  return reply !== undefined;
}

function scoredOrThrow(reply: Reply): ScoredReply {
  if ('error' in reply) throw errorOfReply(reply);
  return reply;
}
