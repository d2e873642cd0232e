// The dispatcher hands the items of calls to the lanes of their models and priorities (lane.ts), which pack
// them into jobs, and ends the wait for them when their call ends.

import { nowMs } from '../../shared/clock.js';
import type { ScorelineError } from '../../shared/errors.js';
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
    const lane = this.#laneOf(model, priority);
    const submittedAt = nowMs();
    const entries = items.map(({ id, inputs }): Entry => {
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
      return { id, deadlineAt, keepMs, item, bytes, job: undefined, isSettled: false, sending };
    });
    const removeListener = ending.onEnd(() => {
      for (const entry of entries) lane.abandon(entry, ending.reason as ScorelineError);
    });
    let unsettled = entries.length;
    const replies = entries.map((entry) =>
      this.#await(lane, entry, () => {
        if (--unsettled === 0) removeListener();
      }),
    );
    lane.send();
    return replies;
  }

  /** Forgets a model that has left. Its items on their way are still answered. */
  forget({ queue }: Pick<Model, 'queue'>): void {
    for (const priority of priorities) this.#lanes.delete(jobQueueOf(queue, priority));
  }

  /** Puts an item into its lane. Returns its reply, and calls `onSettled` when the wait has ended. */
  #await(lane: Lane, entry: Entry, onSettled: () => void): Promise<ScoredReply> {
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

  #laneOf(model: Model, priority: Priority): Lane {
    const name = jobQueueOf(model.queue, priority);
    const known = this.#lanes.get(name);
    if (known) return known;
    const lane = new Lane(model, priority, this.#context);
    this.#lanes.set(name, lane);
    return lane;
  }
}
