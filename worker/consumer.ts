// The consumer of one model's queue: takes jobs, drops what nobody waits for, feeds the batcher,
// answers.
//
// A job is *held* from the moment it was taken until every item of it was answered or dropped; only
// then is it completed, so that a worker that dies leaves its jobs in the queue, and BullMQ gives
// them to another one. How many jobs are held follows from how many items are: enough for a running
// batch and the one behind it, and no more, so that other workers find work too.
//
// A held job can come back: while Redis was away its lock ran out. Then the work goes on once. A
// job that was held by a worker that died is *suspect*: it goes to the quarantine.

import { setTimeout as delay } from 'node:timers/promises';
import { Worker as BullWorker, type Job, WaitingError, type WorkerOptions } from 'bullmq';
import {
  type BatchJob,
  type CountName,
  type Item,
  type Keys,
  nowMs,
  type Reply,
} from '../shared/contract.js';
import { type Logger, makeSeldom } from '../shared/log.js';
import type { Model } from '../shared/models.js';
import { explain, type Redis } from '../shared/redis.js';
import { makeBatcher } from './batcher.js';
import { bytesOfItem } from './kinds.js';
import { type Cells, makeQuarantine, modelCrashed, type ScoreInQuarantine } from './quarantine.js';
import type { SendReplies } from './replies.js';
import type { Results } from './results.js';
import type { Scored, Scorer } from './scorer.js';

/** Items that waited longer than this may have been cancelled meanwhile; asking costs a round trip. */
const cancellationCheckAfterMs = 50;
/** How often an item may be in quarantine when its whole worker dies, before it counts as the cause. */
const strikesMax = 3;
/** How long a worker with one job waits for it to be done before it looks for another. */
const firstJobMsMax = 2;
const strikesTimeToLiveMs = 3_600_000;
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
  scorer: Scorer;
  redis: Redis;
  keys: Keys;
  kept: Results;
  sendReplies: SendReplies;
  cells: Cells;
  log: Logger;
}): Consumer {
  const { model, scorer, redis, keys, kept, sendReplies, cells, log } = options;
  const { batch, input } = model.manifest;
  const itemBytes = bytesOfItem(input);
  const heldItemsMax = 2 * batch.max;
  const held = new Map<string, HeldJob>();
  const finished = new Set<string>();

  const quarantine = makeQuarantine({ model, cells, log });
  const batcher = makeBatcher<HeldItem>({ ...batch, run: runBatch });
  const bull = new PatientWorker(model.queue, process, beforeFetch, {
    connection: redis,
    prefix: keys.prefix,
    concurrency: 1,
    // The batch of a worker that was killed starts elsewhere after 0.8 to 1.6 s (measured).
    lockDuration: 1000,
    stalledInterval: 250,
    // A job is announced to one waiting worker. When that one dies just then, or stands still, the
    // others find the job when they look again by themselves.
    drainDelay: 1,
    // Deadlines and strikes end a job, not the number of workers that died around it.
    maxStalledCount: 1_000_000,
    runRetryDelay: 200,
    removeOnComplete: { count: 0 },
    removeOnFail: { count: 0 },
  });
  const warn = makeSeldom((fields, message) => log.warn(fields, message));
  bull.on('error', (error) => warn({ queue: model.queue, ...explain(error) }, 'queue error'));
  bull.on('failed', (job, error) => log.error({ job: job?.id, err: error }, 'a job failed'));

  async function process(job: Job<BatchJob>, token?: string): Promise<void> {
    const id = job.id as string;
    if (finished.has(id)) return;
    const known = held.get(id);
    if (known) return known.done;

    const isSuspect = job.stalledCounter > 0;
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
      await job.moveToWait(token);
      refuse(new WaitingError());
    };
    hold(() => held.set(id, { isSuspect, items: job.data.items.length, done, giveBack }));
    try {
      await done;
      remember(id);
    } finally {
      hold(() => held.delete(id));
    }
    // Not awaited: a payload that stays behind goes away by its time to live.
    if (itemBytes !== undefined) redis.unlink(keys.payload(id)).catch(() => {});
  }

  /**
   * After an idle worker has taken a job, looking for the next one costs it the time in which it
   * could answer the first: measured as 0.5 ms of the median at one client. So it looks when that
   * job is done, or when it takes so long that more work can gather.
   */
  async function beforeFetch(): Promise<void> {
    const [only, ...others] = held.values();
    const isIdle = others.length === 0 && only?.items === 1;
    if (isIdle) await Promise.race([only.done, delay(firstJobMsMax)]);
  }

  function hold(change: () => void): void {
    change();
    const jobs = [...held.values()];
    const itemsOf = (isSuspect: boolean) =>
      jobs.reduce((sum, job) => sum + (job.isSuspect === isSuspect ? job.items : 0), 0);
    // Suspects wait for the quarantine, not for the engine, so they have their own share.
    const hasRoom = Math.max(itemsOf(true), itemsOf(false)) < heldItemsMax;
    bull.concurrency = Math.max(1, hasRoom ? held.size + 1 : held.size);
  }

  function remember(jobId: string): void {
    finished.add(jobId);
    if (finished.size > finishedJobsMax) finished.delete(finished.values().next().value as string);
  }

  async function work(job: Job<BatchJob>): Promise<void> {
    const items = await takeItems(job);
    await Promise.all(items.map((item) => batcher.submit(item)));
  }

  /** Scores a suspect job in quarantine: its items together, and where that fails one by one. */
  async function workSuspect(job: Job<BatchJob>, isGivenBack: () => boolean): Promise<void> {
    await quarantine.inTurn(async (score) => {
      if (isGivenBack()) return;
      const items = await takeItems(job);
      if (items.length === 0) return;
      log.warn({ model: model.name, job: job.id, items: items.length }, 'a job is in quarantine');
      const startedAt = nowMs();
      const results = await score(items);
      if (results) return answerSuspects(items, results, startedAt);
      for (const item of items) await workAlone(job, item, score);
    });
  }

  async function workAlone(job: Job<BatchJob>, item: HeldItem, score: ScoreInQuarantine) {
    const startedAt = nowMs();
    if (item.deadlineAt <= startedAt) return;
    const strikesKey = keys.strikes(job.id as string);
    const strikes = await redis.hincrby(strikesKey, item.id, 1);
    await redis.pexpire(strikesKey, strikesTimeToLiveMs);
    const results = strikes > strikesMax ? undefined : await score([item]);
    if (!results) count('crashed', 1);
    await answerSuspects([item], results ?? [modelCrashed], startedAt);
    await redis.hdel(strikesKey, item.id);
  }

  function answerSuspects(items: HeldItem[], results: readonly Scored[], startedAt: number) {
    const run = { startedAt, computeMs: nowMs() - startedAt, batchSize: items.length };
    return answer(items, results, run);
  }

  /** The items of a job that somebody waits for, with their inputs. */
  async function takeItems(job: Job<BatchJob>): Promise<HeldItem[]> {
    const takenAt = nowMs();
    const submittedAt = job.data.items[0]?.submittedAt ?? takenAt;
    const items = await dropAbandoned(job.data.items, { now: takenAt, lookedAt: submittedAt });
    const [inputs, known] = await Promise.all([fetchInputs(job, items), kept.find(items)]);
    await answerKnown(job, items, known);
    return items
      .map((item, index) => ({
        ...item,
        bytes: inputs[index] ?? undefined,
        replyTo: job.data.replyTo,
        takenAt,
      }))
      .filter((item) => isWhole(item) && !known.has(item.id));
  }

  async function fetchInputs(job: Job<BatchJob>, items: readonly Item[]) {
    if (itemBytes === undefined || items.length === 0) return [];
    return redis.hmgetBuffer(keys.payload(job.id as string), ...items.map((item) => item.id));
  }

  /** Answers items that were asked for again when their results were there already. */
  async function answerKnown(
    job: Job<BatchJob>,
    items: readonly Item[],
    known: ReadonlyMap<string, Reply>,
  ): Promise<void> {
    if (known.size === 0) return;
    log.debug({ model: model.name, items: known.size }, 'answered with kept results');
    const replies = new Map([[job.data.replyTo, [...known.values()]]]);
    await sendReplies(replies, Math.max(...items.map((item) => item.deadlineAt)));
  }

  /** Those that somebody waits for, as of now; `lookedAt` is when that was last certain. */
  async function dropAbandoned<T extends Item>(
    items: readonly T[],
    { now, lookedAt }: { now: number; lookedAt: number },
  ): Promise<readonly T[]> {
    const inTime = items.filter((item) => item.deadlineAt > now);
    const live =
      inTime.length === 0 || now - lookedAt < cancellationCheckAfterMs
        ? inTime
        : await dropCancelled(inTime);
    count('dropped', items.length - live.length);
    return live;
  }

  async function dropCancelled<T extends Item>(items: readonly T[]): Promise<readonly T[]> {
    const ids = items.map((item) => item.id);
    const asked = redis.zmscore(keys.cancelled(model.queue), ...ids);
    const cancelled = await asked.catch(() => undefined);
    return items.filter((_, index) => typeof cancelled?.[index] !== 'string');
  }

  function count(what: CountName, items: number): void {
    if (items === 0) return;
    log.debug({ model: model.name, items }, what);
    redis.hincrby(keys.counts(model.queue), what, items).catch(() => {});
  }

  /** An item whose payload has expired has outlived its deadline. */
  function isWhole(item: HeldItem): boolean {
    return itemBytes === undefined || item.bytes !== undefined;
  }

  /** Scores one batch and answers each of its items. Must not reject. */
  async function runBatch(gathered: HeldItem[]): Promise<void> {
    const lookedAt = Math.min(...gathered.map((item) => item.takenAt));
    const items = await dropAbandoned(gathered, { now: nowMs(), lookedAt });
    if (items.length === 0) return;
    const startedAt = nowMs();
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
      const suspects = [...held.values()].filter((job) => job.isSuspect);
      await Promise.allSettled(suspects.map((job) => job.giveBack()));
      const handBack = setTimeout(() => {
        log.warn({ model: model.name, jobs: held.size }, 'handing back what is not done');
        for (const job of held.values()) job.giveBack().catch(() => {});
      }, graceMs);
      await bull.close();
      clearTimeout(handBack);
      quarantine.close();
    },
  };
}

class PatientWorker extends BullWorker<BatchJob, void> {
  readonly #beforeFetch: () => Promise<void>;

  constructor(
    name: string,
    process: (job: Job<BatchJob>, token?: string) => Promise<void>,
    beforeFetch: () => Promise<void>,
    options: WorkerOptions,
  ) {
    super(name, process, options);
    this.#beforeFetch = beforeFetch;
  }

  protected override async moveToActive(token: string, name?: string) {
    await this.#beforeFetch().catch(() => {});
    return super.moveToActive(token, name);
  }
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

function roundMs(ms: number): number {
  return Math.round(Math.max(0, ms) * 1000) / 1000;
}
