// Answering: drops items that nobody waits for, scores the others as one batch, and replies to
// each.

import { nowMs } from '../../shared/clock.js';
import type { Logger } from '../../shared/process/log.js';
import type { CountName } from '../../shared/redis/keys.js';
import type { Model } from '../../shared/registry/models.js';
import { countRowsOf } from '../../shared/wire/item-id.js';
import type { Item } from '../../shared/wire/job.js';
import type { Reply } from '../../shared/wire/reply.js';
import type { Scored, Scorer } from '../batch/scorer.js';
import type { DropReason, ItemEvents, Run, SeenItem, TakenItem } from '../events.js';
import type { Queue } from './queue.js';
import { bytesOf, replyBytesMax, type SendReplies } from './replies.js';
import type { Results } from './results.js';

/**
 * Only items that waited longer are checked for cancellation, because asking costs a round trip.
 */
const cancellationCheckAfterMs = 50;

/** An item that a worker holds, with the API instance that waits for its reply. */
export interface HeldItem extends Item, TakenItem {
  readonly replyTo: string;
}

/** The parts that answering needs. A simulation can replace each of them. */
export interface Answering {
  readonly model: Model;
  readonly scorer: Pick<Scorer, 'score'>;
  readonly queue: Queue;
  readonly kept: Results;
  readonly sendReplies: SendReplies;
  readonly log: Logger;
  /** Is told what happens to jobs and items. Undefined if nobody listens. */
  readonly events?: ItemEvents | undefined;
}

type Due = SeenItem & Pick<Item, 'deadlineAt'>;

/**
 * Scores one batch, calls `onScored` when the engine is done with it, and answers each of its items.
 * @throws EngineEnded if the engine is lost; then no item is answered
 */
export async function runBatch(
  answering: Answering,
  gathered: readonly HeldItem[],
  onScored: () => void,
): Promise<void> {
  const { model, scorer, log } = answering;
  let lookedAt = Number.POSITIVE_INFINITY;
  for (const { takenAt } of gathered) lookedAt = Math.min(lookedAt, takenAt);
  const live = await dropAbandoned(answering, gathered, { now: nowMs(), lookedAt });
  const startedAt = nowMs();
  const items = dropLate(answering, live, startedAt);
  if (items.length === 0) return;
  const { results, computeMs } = await scorer.score(items);
  onScored();
  const batchSize = countRowsOf(items);
  log.debug({ model: model.name, batchSize, computeMs }, 'scored');
  const run = { startedAt, computeMs, batchSize };
  await answer(answering, items, results, run);
  answering.events?.ran(items, run);
}

/** Keeps the replies of keyed items, and then sends each item its reply or the kept result. */
export async function answer(
  { kept, queue, sendReplies, events }: Answering,
  items: readonly HeldItem[],
  results: readonly Scored[],
  run: Run,
): Promise<void> {
  const made = items.map((item, index) => makeReply(item, results[index] as Scored, run));
  const final = await kept.keep(items, made, queue.placeOf);
  const replies = new Map<string, Reply[]>();
  for (const [index, { replyTo }] of items.entries()) {
    const reply = final[index] as Reply;
    const others = replies.get(replyTo);
    if (others) others.push(reply);
    else replies.set(replyTo, [reply]);
  }
  await sendReplies(replies, lastDeadline(items));
  events?.answered({ items, replies: final, run });
}

/**
 * Drops items that are late or cancelled, and returns the others. `lookedAt` is when all of them
 * were last known to be wanted.
 */
export async function dropAbandoned<T extends Due>(
  answering: Answering,
  items: readonly T[],
  { now, lookedAt }: { now: number; lookedAt: number },
): Promise<readonly T[]> {
  const inTime = dropLate(answering, items, now);
  if (inTime.length === 0 || now - lookedAt < cancellationCheckAfterMs) return inTime;
  // If Redis cannot tell, assume that the callers still wait.
  const cancelled = await answering.queue.readCancelled(inTime.map(({ id }) => id)).catch(() => []);
  const live = inTime.filter((_, index) => cancelled[index] !== true);
  if (live.length < inTime.length) {
    drop(
      answering,
      'cancelled',
      inTime.filter((_, index) => cancelled[index] === true),
    );
  }
  return live;
}

/** Drops items that are past their deadlines, and returns the others. */
export function dropLate<T extends Due>(
  answering: Answering,
  items: readonly T[],
  now: number,
): readonly T[] {
  const inTime = items.filter((item) => item.deadlineAt > now);
  if (inTime.length < items.length) {
    drop(
      answering,
      'late',
      items.filter((item) => item.deadlineAt <= now),
    );
  }
  return inTime;
}

function drop(answering: Answering, reason: DropReason, items: readonly Due[]): void {
  count(answering, 'dropped', items.length);
  answering.events?.dropped(reason, items);
}

/** Counts items or jobs, in Redis and in the debug log. */
export function count({ model, queue, log }: Answering, what: CountName, amount: number): void {
  if (amount === 0) return;
  log.debug({ model: model.name, amount }, what);
  queue.count(what, amount);
}

/** Returns the latest of the items' deadlines, in milliseconds since the epoch. */
export function lastDeadline(items: readonly Due[]): number {
  let last = 0;
  for (const { deadlineAt } of items) last = Math.max(last, deadlineAt);
  return last;
}

function makeReply(item: HeldItem, scored: Scored, run: Run): Reply {
  if ('error' in scored) return { id: item.id, error: scored.error };
  const timing = {
    queueMs: roundMs(item.takenAt - item.submittedAt),
    batchMs: roundMs(run.startedAt - item.takenAt),
    computeMs: roundMs(run.computeMs),
    batchSize: run.batchSize,
  };
  const reply = { id: item.id, outputs: scored.outputs, timing };
  const bytes = bytesOf(reply);
  return bytes <= replyBytesMax ? reply : { id: item.id, error: tooLarge(bytes) };
}

function tooLarge(bytes: number) {
  const detail = `Expected outputs of at most ${replyBytesMax} bytes for an input; got ${bytes}. Ask for fewer outputs, or send a smaller input.`;
  return { code: 'result_too_large', detail } as const;
}

function roundMs(ms: number): number {
  return Math.round(Math.max(0, ms) * 1000) / 1000;
}
