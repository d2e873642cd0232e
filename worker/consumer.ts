// The consumer of one model's queue: takes jobs, drops what nobody waits for, feeds the batcher,
// answers.
//
// A job is done when every item of it was answered or dropped; only then is it completed, so that
// a worker that dies leaves its jobs in the queue. How many jobs are held follows from how many
// items are: enough for a running batch and the one behind it, and no more, so that other workers
// find work too.

import { Worker as BullWorker, type Job } from 'bullmq';
import { type BatchJob, type Item, type Keys, nowMs, type Reply } from '../shared/contract.js';
import { coerceError } from '../shared/errors.js';
import type { Logger } from '../shared/log.js';
import type { Model } from '../shared/models.js';
import type { Redis } from '../shared/redis.js';
import { makeBatcher } from './batcher.js';
import { bytesOfItem } from './kinds.js';
import type { SendReplies } from './replies.js';
import type { Scored, Scorer } from './scorer.js';

/** Items that waited longer than this may have been cancelled meanwhile; asking costs a round trip. */
const cancellationCheckAfterMs = 50;

interface HeldItem extends Item {
  readonly replyTo: string;
  readonly takenAt: number;
  readonly bytes?: Uint8Array | undefined;
}

export interface Consumer {
  /** Takes no more, and resolves when everything that was held is answered. */
  close(): Promise<void>;
}

export function makeConsumer(options: {
  model: Model;
  scorer: Scorer;
  redis: Redis;
  keys: Keys;
  sendReplies: SendReplies;
  log: Logger;
}): Consumer {
  const { model, scorer, redis, keys, sendReplies, log } = options;
  const { batch, input } = model.manifest;
  const itemBytes = bytesOfItem(input);
  const heldItemsMax = 2 * batch.max;
  let heldItems = 0;
  let heldJobs = 0;

  const batcher = makeBatcher<HeldItem>({ ...batch, run: runBatch });
  const bull = new BullWorker(model.queue, process, {
    connection: redis,
    prefix: keys.prefix,
    concurrency: 1,
    // The batch of a worker that was killed starts elsewhere after about 1.3 s (measured).
    lockDuration: 1000,
    stalledInterval: 500,
    // A job may be taken again as often as workers die; deadlines end it.
    maxStalledCount: 1_000_000,
    runRetryDelay: 200,
    removeOnComplete: { count: 0 },
    removeOnFail: { count: 0 },
  });
  bull.on('error', (error) =>
    log.warn({ queue: model.queue, reason: error.message }, 'queue error'),
  );
  bull.on('failed', (job, error) => log.error({ job: job?.id, err: error }, 'a job failed'));

  async function process(job: Job<BatchJob>): Promise<void> {
    const takenAt = nowMs();
    hold(1, job.data.items.length);
    try {
      const items = await dropAbandoned(job.data.items, takenAt);
      const inputs = await loadInputs(job, items);
      await Promise.all(
        items.map((item, index) =>
          batcher.submit({
            ...item,
            bytes: inputs?.[index] ?? undefined,
            replyTo: job.data.replyTo,
            takenAt,
          }),
        ),
      );
    } finally {
      hold(-1, -job.data.items.length);
    }
    // Not awaited: a payload that stays behind goes away by its time to live.
    if (itemBytes !== undefined) redis.unlink(keys.payload(job.id as string)).catch(() => {});
  }

  function hold(jobs: number, items: number): void {
    heldJobs += jobs;
    heldItems += items;
    bull.concurrency = Math.max(1, heldItems < heldItemsMax ? heldJobs + 1 : heldJobs);
  }

  /** The items somebody still waits for. */
  async function dropAbandoned(items: readonly Item[], takenAt: number): Promise<readonly Item[]> {
    const first = items[0];
    if (!first) return items;
    const live = items.filter((item) => item.deadlineAt > takenAt);
    if (live.length === 0 || takenAt - first.submittedAt < cancellationCheckAfterMs) return live;
    const cancelled = await redis.zmscore(
      keys.cancelled(model.queue),
      ...live.map((item) => item.id),
    );
    return live.filter((_, index) => cancelled[index] === null);
  }

  async function loadInputs(job: Job<BatchJob>, items: readonly Item[]) {
    if (itemBytes === undefined || items.length === 0) return undefined;
    return redis.hmgetBuffer(keys.payload(job.id as string), ...items.map((item) => item.id));
  }

  /** Scores one batch and answers each of its items. Must not reject. */
  async function runBatch(held: HeldItem[]): Promise<void> {
    const startedAt = nowMs();
    const items = held.filter((item) => item.deadlineAt > startedAt && isWhole(item));
    if (items.length === 0) return;
    try {
      const { results, computeMs } = await scorer.score(items);
      log.debug({ model: model.name, batchSize: items.length, computeMs }, 'scored');
      const run = { startedAt, computeMs, batchSize: items.length };
      const replies = new Map<string, Reply[]>();
      for (const [index, item] of items.entries()) {
        const reply = makeReply(item, results[index] as Scored, run);
        const others = replies.get(item.replyTo);
        if (others) others.push(reply);
        else replies.set(item.replyTo, [reply]);
      }
      await sendReplies(replies);
    } catch (thrown) {
      log.error({ model: model.name, err: coerceError(thrown) }, 'a batch could not be answered');
    }
  }

  /** An item whose payload has expired has outlived its deadline. */
  function isWhole(item: HeldItem): boolean {
    return itemBytes === undefined || item.bytes?.byteLength === itemBytes;
  }

  return { close: () => bull.close() };
}

function makeReply(
  item: HeldItem,
  scored: Scored,
  run: { startedAt: number; computeMs: number; batchSize: number },
): Reply {
  if ('error' in scored) {
    return { id: item.id, error: { code: scored.error.code, detail: scored.error.message } };
  }
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
