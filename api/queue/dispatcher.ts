// The dispatcher hands the items of calls to the lanes of their models and priorities (lane.ts), which pack
// them into jobs, and ends the wait for them when their call ends.
//
// Large items have lanes of their own. Their inputs take a connection of their own to Redis, which may need seconds for
// them or break, and a lane adds one job at a time. In one lane, small items would wait for them and fail with them.

import { nowMs } from '../../shared/clock.js';
import type { ScorelineError } from '../../shared/errors.js';
import { largeBytes } from '../../shared/redis/redis.js';
import type { Model } from '../../shared/registry/models.js';
import { countBytes, type Tensor } from '../../shared/tensors/tensors.js';
import type { Item, OutputWish } from '../../shared/wire/job.js';
import { jobQueueOf, type Priority, priorities } from '../../shared/wire/priority.js';
import type { ScoredReply } from '../../shared/wire/reply.js';
import type { Ending } from '../call/ending.js';
import type { RequestTrace } from '../traces/request-trace.js';
import { type Entry, Lane, type LaneContext } from './lane.js';

const lingerMsDefault = 6;

/** The items of one call, for one model, with one deadline. */
export interface Submission extends OutputWish {
  readonly model: Model;
  readonly priority: Priority;
  /** Milliseconds since the epoch. */
  readonly deadlineAt: number;
  /** When it comes, the wait for all items ends with its reason. */
  readonly ending: Ending;
  readonly items: readonly DispatchedItem[];
  /** How long workers keep the replies. Only an id with `keepMs` may be submitted again. */
  readonly keepMs?: number | undefined;
  /** Whose share of the kept results the replies count for. */
  readonly keepFor?: string | undefined;
  /** Set if the request is traced. */
  readonly trace?: Pick<RequestTrace, 'send'> | undefined;
}

export interface DispatchedItem {
  readonly id: string;
  readonly inputs: readonly Tensor[];
}

interface LaneEntry extends Entry {
  readonly lane: Lane;
}

export class Dispatcher {
  readonly #context: LaneContext;
  readonly #lanes = new Map<string, Lane>();

  constructor(context: Omit<LaneContext, 'lingerMs'> & Partial<Pick<LaneContext, 'lingerMs'>>) {
    this.#context = { ...context, lingerMs: context.lingerMs ?? lingerMsDefault };
  }

  /**
   * Sends items to the model's queue. Returns a promise for each item, in order. Each rejects with the
   * error of the reply, `queue_unavailable`, or the reason of the ending.
   */
  submit(submission: Submission): Promise<ScoredReply>[] {
    const { model, priority, top, outputs, deadlineAt, ending, items, keepMs, keepFor, trace } =
      submission;
    const { reason } = ending;
    if (reason) return items.map(() => Promise.reject(reason));
    const submittedAt = nowMs();
    const entries = items.map(({ id, inputs }): LaneEntry => {
      const sending = trace?.send(model, id);
      const context = sending?.context;
      const item: Item = {
        id,
        submittedAt,
        deadlineAt,
        inputs,
        top,
        outputs,
        keepMs,
        keepFor,
        trace: context,
      };
      const bytes = countBytes(inputs);
      const lane = this.#laneOf(model, priority, bytes > largeBytes);
      return {
        id,
        deadlineAt,
        keepMs,
        item,
        bytes,
        job: undefined,
        isSettled: false,
        sending,
        lane,
      };
    });
    const removeListener = ending.onEnd(() => {
      for (const entry of entries) entry.lane.abandon(entry, ending.reason as ScorelineError);
    });
    let unsettled = entries.length;
    const replies = entries.map((entry) =>
      this.#await(entry, () => {
        if (--unsettled === 0) removeListener();
      }),
    );
    for (const lane of new Set(entries.map((entry) => entry.lane))) lane.send();
    return replies;
  }

  /** Forgets a model that has left. Its items on their way are still answered. */
  forget({ queue }: Pick<Model, 'queue'>): void {
    for (const priority of priorities)
      for (const isLarge of [false, true]) this.#lanes.delete(laneName(queue, priority, isLarge));
  }

  /** Puts an item into its lane. Returns its reply, and calls `onSettled` when the wait has ended. */
  #await(entry: LaneEntry, onSettled: () => void): Promise<ScoredReply> {
    const { lane } = entry;
    const reply = this.#context.waiters.expect(entry.id);
    const settle = () => {
      lane.settle(entry);
      entry.sending?.end();
      onSettled();
    };
    reply.then((scored) => {
      lane.learn(scored);
      settle();
    }, settle);
    lane.push(entry);
    return reply;
  }

  #laneOf(model: Model, priority: Priority, isLarge: boolean): Lane {
    const name = laneName(model.queue, priority, isLarge);
    const known = this.#lanes.get(name);
    if (known) return known;
    const lane = new Lane(model, priority, this.#context);
    this.#lanes.set(name, lane);
    return lane;
  }
}

function laneName(queue: string, priority: Priority, isLarge: boolean): string {
  const name = jobQueueOf(queue, priority);
  return isLarge ? `${name} large` : name;
}
