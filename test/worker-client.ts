// A client for workers without an API. It adds jobs to the queue as an API does, and reads the
// replies from its own stream.

import { randomUUID } from 'node:crypto';
import { Queue as BullQueue } from 'bullmq';
import type { Redis } from 'ioredis';
import { nowMs } from '../shared/clock.js';
import { makeKeys } from '../shared/redis/keys.js';
import type { Model } from '../shared/registry/models.js';
import type { Tensor } from '../shared/tensors/tensors.js';
import { encodeJob, type Item } from '../shared/wire/job.js';
import { type Reply, unpackReplies } from '../shared/wire/reply.js';
import { waitUntil } from './harness.js';

export const keys = makeKeys('scoreline');

export type Draft = Partial<Item> & { readonly inputs: readonly Tensor[] };

export interface WorkerClient {
  readonly instance: string;
  readonly queue: string;
  /** Adds a job, and returns the ids of its items, which count as unanswered from then on. */
  send(drafts: readonly Draft[]): Promise<string[]>;
  /** Adds a job with this text as its data. */
  sendRaw(text: string): Promise<string>;
  /** Returns all replies so far, in order, by item id. */
  replies(): Promise<ReadonlyMap<string, Reply[]>>;
  /** Waits for the replies to these items, and returns the first one to each. */
  answers(ids: readonly string[], withinMs?: number): Promise<Reply[]>;
  /** Resolves when the queue has no jobs. */
  untilEmpty(): Promise<void>;
  untilActive(jobs: number): Promise<void>;
  countOf(what: string): Promise<number>;
  close(): Promise<void>;
}

export async function openWorkerClient(redis: Redis, model: Model): Promise<WorkerClient> {
  const instance = randomUUID();
  const name = model.queue;
  const queue = new BullQueue(name, { connection: redis, prefix: keys.prefix });
  // Some tests take Redis away, which is no error here.
  queue.on('error', () => {});
  const key = (part: string) => `${keys.prefix}:${name}:${part}`;
  await redis.xadd(keys.replies(instance), '*', 'hello', '');

  const replies = async () => {
    const entries = await redis.xrangeBuffer(keys.replies(instance), '-', '+');
    const found = new Map<string, Reply[]>();
    for (const [, [field, packed]] of entries as [Buffer, [Buffer, Buffer]][]) {
      if (String(field) !== 'replies') continue;
      for (const reply of unpackReplies(packed)) {
        found.set(reply.id, [...(found.get(reply.id) ?? []), reply]);
      }
    }
    return found;
  };

  return {
    instance,
    queue: name,
    replies,
    async send(drafts) {
      const items = drafts.map(
        (draft): Item => ({
          id: randomUUID(),
          submittedAt: nowMs(),
          deadlineAt: nowMs() + 30_000,
          ...draft,
        }),
      );
      const { job, payload } = encodeJob({ replyTo: instance, items });
      const jobId = randomUUID();
      if (payload.size > 0) {
        const fields = [...payload].flatMap(([field, data]) => [field, Buffer.from(data)]);
        await redis.hset(keys.payload(jobId), ...fields);
      }
      for (const { id, deadlineAt } of items) {
        await redis.zadd(keys.unanswered(name), deadlineAt, id);
      }
      await queue.add('batch', job, { jobId });
      return items.map(({ id }) => id);
    },
    async sendRaw(text) {
      const id = randomUUID();
      await redis.hset(key(id), { name: 'batch', data: text, opts: '{}', timestamp: Date.now() });
      await redis.lpush(key('wait'), id);
      await redis.zadd(key('marker'), 0, '0');
      return id;
    },
    async answers(ids, withinMs) {
      let found: ReadonlyMap<string, Reply[]> = new Map();
      const areThere = async () => {
        found = await replies();
        return ids.every((id) => found.has(id));
      };
      await waitUntil(`${ids.length} items are answered`, areThere, withinMs);
      return ids.map((id) => found.get(id)?.[0] as Reply);
    },
    untilEmpty: () =>
      waitUntil('the queue is empty', async () => {
        const lists = await Promise.all(['wait', 'active'].map((list) => redis.llen(key(list))));
        return lists.every((jobs) => jobs === 0);
      }),
    untilActive: (jobs) =>
      waitUntil(`${jobs} jobs are active`, async () => (await redis.llen(key('active'))) >= jobs),
    countOf: async (what) => Number((await redis.hget(keys.counts(name), what)) ?? 0),
    close: async () => {
      await queue.close();
    },
  };
}
