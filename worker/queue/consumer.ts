// The consumer of one model's queue: takes jobs, drops what nobody waits for, feeds the batcher,
// answers.
//
// A job is *held* from the moment it was taken until every item of it was answered or dropped; only
// then is it completed, so that a worker that dies leaves its jobs in the queue, and BullMQ gives
// them to another one. Two jobs are held, or, where they are small, as many as have the items of two
// batches: one is worked on and one is next, and other workers find work too.
//
// A held job can come back: while Redis was away its lock ran out. Then the work goes on once. A
// job that was held by a worker that died is *suspect*: it goes to the quarantine.
//
// Here is only what follows from that. BullMQ and Redis are behind the queue, processes and threads
// behind the scorer and the quarantine, so that a simulation can take their places.

import { setTimeout as delay } from 'node:timers/promises';
import { nowMs } from '../../shared/clock.js';
import type { CountName } from '../../shared/keys.js';
import type { Logger } from '../../shared/log.js';
import type { Model } from '../../shared/models.js';
import type { Item, Reply } from '../../shared/wire.js';
import { makeBatcher } from '../batch/batcher.js';
import { bytesOfItem } from '../batch/kinds.js';
import type { Scored, Scorer } from '../batch/scorer.js';
import { type Cell, modelCrashed, type Quarantine } from '../quarantine/quarantine.js';
import { GivenBack, type Queue, type TakenJob } from './queue.js';
import type { SendReplies } from './replies.js';
import type { Results } from './results.js';

/** Items that waited longer than this may have been cancelled meanwhile; asking costs a round trip. */
const cancellationCheckAfterMs = 50;
/** How often an item may be in quarantine when its whole worker dies, before it counts as the cause. */
const strikesMax = 3;
/** How long a worker with one job waits for it to be done before it looks for another. */
const firstJobMsMax = 2;
/** Jobs that are held however many items they have. */
const heldJobsMin = 2;
/** How many finished jobs are remembered, in case one comes back. */
const finishedJobsMax = 1000;

interface HeldItem extends Item {
  readonly replyTo: string;
  readonly takenAt: number;
  readonly bytes?: Uint8Array | undefined;
}

interface HeldJob {
  readonly isSuspect: boolean;
  readonly items: number;
  readonly done: Promise<void>;
  /** Gives the job back to the queue, for another worker. */
  giveBack(): Promise<void>;
}

export interface Consumer {
  /**
   * Takes no more, and resolves when everything that was held is answered; what is not by
   * `graceMs` is handed back to the queue.
   */
  close(graceMs: number): Promise<void>;
}

export function makeConsumer(options: {
  model: Model;
  scorer: Pick<Scorer, 'score'>;
  queue: Queue;
  quarantine: Quarantine;
  kept: Results;
  sendReplies: SendReplies;
  log: Logger;
}): Consumer {
  const { model, scorer, queue, quarantine, kept, sendReplies, log } = options;
  const { batch, input } = model.manifest;
  const itemBytes = bytesOfItem(input);
  const heldItemsMax = 2 * batch.max;
  const held = new Map<string, HeldJob>();
  const finished = new Set<string>();
  let closing = false;

  const batcher = makeBatcher<HeldItem>({ ...batch, run: runBatch });
  const taking = queue.take({ beforeTake, process });

  async function process(job: TakenJob): Promise<void> {
    const { id, isSuspect } = job;
    if (finished.has(id)) return;
    // It was on its way here when taking ended.
    if (closing) {
      await job.giveBack();
      throw new GivenBack();
    }
    const known = held.get(id);
    if (known) return known.done;

    let isGivenBack = false;
    let refuse: (error: Error) => void = () => {};
    const givenBack = new Promise<never>((_resolve, reject) => {
      refuse = reject;
    });
    const done = Promise.race([
      isSuspect ? workSuspect(job, () => isGivenBack) : work(job),
      givenBack,
    ]);
    const giveBack = async () => {
      isGivenBack = true;
      try {
        await job.giveBack();
      } finally {
        // Where the lock was lost meanwhile, somebody else has the job, or will.
        refuse(new GivenBack());
      }
    };
    hold(() => held.set(id, { isSuspect, items: job.items.length, done, giveBack }));
    try {
      await done;
      remember(id);
    } finally {
      hold(() => held.delete(id));
    }
    if (itemBytes !== undefined) queue.dropInputs(id);
  }

  /**
   * After an idle worker has taken a job, looking for the next one costs it the time in which it
   * could answer the first: measured as 0.5 ms of the median at one client. So it looks when that
   * job is done, or when it takes so long that more work can gather.
   */
  async function beforeTake(): Promise<void> {
    const [only, ...others] = held.values();
    const isIdle = others.length === 0 && only?.items === 1;
    if (isIdle) await Promise.race([only.done, delay(firstJobMsMax)]);
  }

  function hold(change: () => void): void {
    change();
    // Suspects wait for the quarantine, not for the engine, so they have their own share.
    const hasRoom = [true, false].every(hasRoomFor);
    taking.setJobsMax(Math.max(1, hasRoom ? held.size + 1 : held.size));
  }

  function hasRoomFor(isSuspect: boolean): boolean {
    const jobs = [...held.values()].filter((job) => job.isSuspect === isSuspect);
    const items = jobs.reduce((sum, job) => sum + job.items, 0);
    return jobs.length < heldJobsMin || items < heldItemsMax;
  }

  function remember(jobId: string): void {
    finished.add(jobId);
    if (finished.size > finishedJobsMax) finished.delete(finished.values().next().value as string);
  }

  async function work(job: TakenJob): Promise<void> {
    const items = await takeItems(job);
    await Promise.all(items.map((item) => batcher.submit(item)));
  }

  /** Scores a suspect job in quarantine: batch by batch, and where one fails item by item. */
  async function workSuspect(job: TakenJob, isGivenBack: () => boolean): Promise<void> {
    await quarantine.inTurn(async (cell) => {
      if (isGivenBack()) return;
      const taken = await takeItems(job);
      if (taken.length === 0) return;
      log.warn({ model: model.name, job: job.id, items: taken.length }, 'a job is in quarantine');
      for (let from = 0; from < taken.length; from += batch.max) {
        await workTogether(job, taken.slice(from, from + batch.max), cell);
      }
    });
  }

  async function workTogether(job: TakenJob, taken: HeldItem[], cell: Cell): Promise<void> {
    await cell.open();
    const startedAt = nowMs();
    const items = dropLate(taken, startedAt);
    if (items.length === 0) return;
    const results = await cell.score(items);
    if (results) return answerSuspects(items, results, startedAt);
    for (const item of items) await workAlone(job, item, cell);
  }

  async function workAlone(job: TakenJob, item: HeldItem, cell: Cell): Promise<void> {
    await cell.open();
    const strikes = await queue.addStrike(job.id, item.id);
    const startedAt = nowMs();
    if (dropLate([item], startedAt).length === 0) return;
    const results = strikes > strikesMax ? undefined : await cell.score([item]);
    if (!results) count('crashed', 1);
    await answerSuspects([item], results ?? [modelCrashed], startedAt);
    await queue.clearStrikes(job.id, item.id);
  }

  function answerSuspects(items: HeldItem[], results: readonly Scored[], startedAt: number) {
    const run = { startedAt, computeMs: nowMs() - startedAt, batchSize: items.length };
    return answer(items, results, run);
  }

  /** The items of a job that somebody waits for, with their inputs. */
  async function takeItems(job: TakenJob): Promise<HeldItem[]> {
    const takenAt = nowMs();
    const submittedAt = job.items[0]?.submittedAt ?? takenAt;
    const items = await dropAbandoned(job.items, { now: takenAt, lookedAt: submittedAt });
    const [inputs, known] = await Promise.all([readInputs(job, items), kept.find(items)]);
    await answerKnown(job, items, known);
    return items
      .map((item, index) => ({
        ...item,
        bytes: inputs[index] ?? undefined,
        replyTo: job.replyTo,
        takenAt,
      }))
      .filter((item) => isWhole(item) && !known.has(item.id));
  }

  async function readInputs(job: TakenJob, items: readonly Item[]) {
    if (itemBytes === undefined || items.length === 0) return [];
    return queue.readInputs(job.id, idsOf(items));
  }

  /** Answers items that were asked for again when their results were there already. */
  async function answerKnown(
    job: TakenJob,
    items: readonly Item[],
    known: ReadonlyMap<string, Reply>,
  ): Promise<void> {
    if (known.size === 0) return;
    log.debug({ model: model.name, items: known.size }, 'answered with kept results');
    const replies = new Map([[job.replyTo, [...known.values()]]]);
    await sendReplies(replies, Math.max(...items.map((item) => item.deadlineAt)));
  }

  /** Those that somebody waits for, as of now; `lookedAt` is when that was last certain. */
  async function dropAbandoned<T extends Item>(
    items: readonly T[],
    { now, lookedAt }: { now: number; lookedAt: number },
  ): Promise<readonly T[]> {
    const inTime = dropLate(items, now);
    if (inTime.length === 0 || now - lookedAt < cancellationCheckAfterMs) return inTime;
    // Where that cannot be told, somebody may wait.
    const cancelled = await queue.readCancelled(idsOf(inTime)).catch(() => []);
    const live = inTime.filter((_, index) => cancelled[index] !== true);
    count('dropped', inTime.length - live.length);
    return live;
  }

  /** The items that can still be answered in time. */
  function dropLate<T extends Item>(items: readonly T[], now: number): T[] {
    const inTime = items.filter((item) => item.deadlineAt > now);
    count('dropped', items.length - inTime.length);
    return inTime;
  }

  function count(what: CountName, items: number): void {
    if (items === 0) return;
    log.debug({ model: model.name, items }, what);
    queue.count(what, items);
  }

  /** An item whose payload has expired has outlived its deadline. */
  function isWhole(item: HeldItem): boolean {
    return itemBytes === undefined || item.bytes !== undefined;
  }

  /** Scores one batch and answers each of its items. Must not reject. */
  async function runBatch(gathered: HeldItem[]): Promise<void> {
    const lookedAt = Math.min(...gathered.map((item) => item.takenAt));
    const live = await dropAbandoned(gathered, { now: nowMs(), lookedAt });
    const startedAt = nowMs();
    const items = dropLate(live, startedAt);
    if (items.length === 0) return;
    const { results, computeMs } = await scorer.score(items);
    log.debug({ model: model.name, batchSize: items.length, computeMs }, 'scored');
    await answer(items, results, { startedAt, computeMs, batchSize: items.length });
  }

  async function answer(
    items: readonly HeldItem[],
    results: readonly Scored[],
    run: Run,
  ): Promise<void> {
    const made = items.map((item, index) => makeReply(item, results[index] as Scored, run));
    const final = await kept.keep(items, made);
    const replies = new Map<string, Reply[]>();
    for (const [index, item] of items.entries()) {
      const reply = final[index] as Reply;
      const others = replies.get(item.replyTo);
      if (others) others.push(reply);
      else replies.set(item.replyTo, [reply]);
    }
    await sendReplies(replies, Math.max(...items.map((item) => item.deadlineAt)));
  }

  return {
    close: async (graceMs) => {
      closing = true;
      const closed = taking.close();
      const suspects = [...held.values()].filter((job) => job.isSuspect);
      await Promise.allSettled(suspects.map((job) => job.giveBack()));
      const handBack = setTimeout(() => {
        log.warn({ model: model.name, jobs: held.size }, 'handing back what is not done');
        for (const job of held.values()) job.giveBack().catch(() => {});
      }, graceMs);
      await closed;
      clearTimeout(handBack);
      quarantine.close();
    },
  };
}

interface Run {
  readonly startedAt: number;
  readonly computeMs: number;
  readonly batchSize: number;
}

function makeReply(item: HeldItem, scored: Scored, run: Run): Reply {
  if ('error' in scored) return { id: item.id, error: scored.error };
  const timing = {
    queueMs: roundMs(item.takenAt - item.submittedAt),
    batchMs: roundMs(run.startedAt - item.takenAt),
    computeMs: roundMs(run.computeMs),
    batchSize: run.batchSize,
  };
  return { id: item.id, scores: scored.scores, timing };
}

function idsOf(items: readonly Item[]): string[] {
  return items.map((item) => item.id);
}

function roundMs(ms: number): number {
  return Math.round(Math.max(0, ms) * 1000) / 1000;
}
