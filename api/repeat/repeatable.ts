// Scores a call with an `Idempotency-Key`. Clients may send such a request again, to any API instance,
// and get the same result.
//
// Within a process, repeats of a request in flight join its flight (flights.ts). Between processes, the
// results in Redis decide (results.ts). A kept result is the answer. Missing items are sent under the
// same ids. If an item gets two replies, the one that a worker keeps first is the result.
//
// A client that hangs up cancels nothing, because it is expected to ask again. So the work belongs to a
// call of its own, the *flight*. Failures that say nothing about the input (no room, no queue, no time)
// are not kept as results, so a repeat starts again.

import type { Reply, ScoredReply } from '../../shared/wire/reply.js';
import type { CacheNote } from '../cache/cache-note.js';
import type { Call, CallEnd } from '../call/call.js';
import type { Calls } from '../call/calls.js';
import type { Prepared } from '../kinds/kind.js';
import type { DispatchedItem } from '../queue/dispatcher.js';
import { errorOfReply } from '../queue/waiters.js';
import { makeFlights } from './flights.js';
import type { Identity } from './identity.js';
import type { KeptReplies, Results } from './results.js';

/** The steps of scoring, done once for all calls that wait with the same key. */
export interface Work {
  /** Finds the replies in the response cache, if the model has one. */
  readonly recall?: ((flight: Call) => Promise<readonly ScoredReply[] | undefined>) | undefined;
  /** Keeps the replies there. */
  readonly keep?: ((flight: Call, replies: readonly ScoredReply[]) => void) | undefined;
  /** Validates the inputs and makes a list of tensors for each. */
  prepare(flight: Call): Promise<Prepared>;
  /** Sends items whose replies are kept for `keepMs`. */
  submit(flight: Call, items: readonly DispatchedItem[], keepMs: number): Promise<ScoredReply>[];
}

export interface Repeatable {
  /**
   * Resolves with one reply for each id of the identity, in order. Sets `isReplayed` of the call.
   * @throws ScorelineError of an invalid input or a failed item, of results.ts and flights.ts, or the
   * reason of the call's ending
   */
  score(call: Call, identity: Identity, work: Work): Promise<readonly ScoredReply[]>;
}

/** What a flight has to score: the items of a request that have no kept reply. */
interface Task {
  readonly identity: Identity;
  readonly kept: KeptReplies;
  readonly work: Work;
}

interface Outcome {
  readonly replies: readonly Reply[];
  /** Whether all replies were kept from earlier. */
  readonly isReplayed: boolean;
  /** How the response cache has served the flight. */
  readonly cacheNote?: CacheNote | undefined;
}

export function makeRepeatable(options: {
  calls: Pick<Calls, 'openFlight'>;
  results: Omit<Results, 'lengthen'>;
}): Repeatable {
  const { calls, results } = options;
  const flights = makeFlights<Outcome>();

  const fly = async (call: Call, identity: Identity, work: Work): Promise<Outcome> => {
    let flight: Call;
    try {
      flight = calls.openFlight(call);
    } catch (refusal) {
      // There is no room for work, but a kept result needs none.
      const { replies } = await results.look(identity);
      if (replies.every(isThere)) return { replies, isReplayed: true };
      throw refusal;
    }
    let end: CallEnd = 'abandoned';
    try {
      const kept = await results.claim(identity, flight.deadlineAt);
      if (kept.replies.every(isThere)) {
        end = 'cached';
        return { replies: kept.replies, isReplayed: true };
      }
      const recalled = await work.recall?.(flight);
      const { cacheNote } = flight;
      if (recalled) {
        end = 'cached';
        const replies = recalled.map((reply, at) => ({ ...reply, id: identity.ids[at] as string }));
        return { replies, isReplayed: false, cacheNote };
      }
      const replies = await scoreMissing(flight, { identity, kept, work });
      end = 'scored';
      if (replies.every(isScored)) work.keep?.(flight, replies);
      return { replies, isReplayed: false, cacheNote };
    } finally {
      flight.end(end);
    }
  };

  const scoreMissing = async (flight: Call, task: Task): Promise<Reply[]> => {
    const sent = await sendMissing(flight, task);
    // Wait for all of them even if one has failed, because a repeat would wait for the same ids.
    const settled = await Promise.allSettled(sent.replies);
    const replies = [...task.kept.replies];
    for (const [at, each] of settled.entries()) {
      if (each.status === 'rejected') throw each.reason;
      replies[sent.indices[at] as number] = each.value;
    }
    return replies as Reply[];
  };

  /** Sends the items that have no kept reply. Nothing here has their tensors while their replies are awaited. */
  const sendMissing = async (flight: Call, task: Task) => {
    const { identity, kept, work } = task;
    const prepared = await prepareOrRelease(flight, task);
    const missing = identity.ids
      .map((id, index) => ({ id, index, inputs: prepared[index] ?? [] }))
      .filter(({ index }) => !isThere(kept.replies[index]));
    const replies = work.submit(flight, missing, results.keepMs);
    return { indices: missing.map(({ index }) => index), replies };
  };

  /** If the inputs are refused, releases the key, so the client can use it for a corrected request. */
  const prepareOrRelease = async (flight: Call, { identity, kept, work }: Task) => {
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
      // Only the flight needs a permit. The calls that wait for it do not.
      call.handOver()?.release(false);
      const { replies, isReplayed, cacheNote } = await joined;
      call.isReplayed = isReplayed;
      call.cacheNote = cacheNote;
      return replies.map(scoredOrThrow);
    },
  };
}

function isThere(reply: Reply | undefined): reply is Reply {
  return reply !== undefined;
}

function isScored(reply: Reply): reply is ScoredReply {
  return 'outputs' in reply;
}

function scoredOrThrow(reply: Reply): ScoredReply {
  if ('error' in reply) throw errorOfReply(reply);
  return reply;
}
