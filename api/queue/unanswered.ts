// The count of each queue's unanswered items, which admission, `/v1/models` and autoscaling read.
//
// The unanswered items of a queue are a sorted set by deadline, in which an item has a member for each
// of its rows. The API adds an item right before its job. The worker removes it right behind its reply.
// Each reader removes items past their deadline. So the size of the set stays right, whichever process
// dies.
//
// Bulk items are in a second set as well. Interactive requests are not refused for them, so admission has to know
// how many of a queue's items are not bulk.

import { nowMs } from '../../shared/clock.js';
import type { Keys } from '../../shared/redis/keys.js';
import type { Redis } from '../../shared/redis/redis.js';
import { membersOf } from '../../shared/wire/item-id.js';
import type { BatchJob } from '../../shared/wire/job.js';
import type { Priority } from '../../shared/wire/priority.js';

/** How often the unanswered items are counted. */
const lookEveryMs = 1000;
/** How long the set outlives the last process that reads it. */
const timeToLiveMs = 86_400_000;

export class Unanswered {
  readonly #redis: Redis;
  readonly #keys: Keys;
  /** By queue, at the last look. */
  readonly #counts = new Map<string, { readonly all: number; readonly bulk: number }>();
  readonly #queues: () => Iterable<string>;
  readonly #timer: NodeJS.Timeout;
  #isSilent = false;

  /** @param options.queues the names of the queues to look at, once a second */
  constructor(options: { redis: Redis; keys: Keys; queues: () => Iterable<string> }) {
    this.#redis = options.redis;
    this.#keys = options.keys;
    this.#queues = options.queues;
    this.#timer = setInterval(() => void this.#look(), lookEveryMs);
  }

  /** Whether the last look failed. */
  get isSilent(): boolean {
    return this.#isSilent;
  }

  /** How many rows were unanswered at the last look, at most a second ago; undefined if unknown. */
  in(queue: string): number | undefined {
    return this.#counts.get(queue)?.all;
  }

  /** How many of them were not bulk. */
  interactiveIn(queue: string): number | undefined {
    const counts = this.#counts.get(queue);
    return counts && Math.max(0, counts.all - counts.bulk);
  }

  /**
   * Counts the items of a job. Call it before the job is added: a worker may answer before this process has its
   * next turn, and what it has removed must not be counted after that.
   */
  async add(queue: string, { items }: BatchJob, priority: Priority): Promise<void> {
    // Whole milliseconds, because Redis takes 3.6 times as long for fractions (measured).
    const scores: (number | string)[] = [];
    for (const { id, deadlineAt } of items) {
      const score = Math.ceil(deadlineAt);
      for (const member of membersOf([id])) scores.push(score, member);
    }
    const { unanswered, unansweredBulk } = this.#keys;
    const sets = priority === 'bulk' ? [unanswered, unansweredBulk] : [unanswered];
    // Waited for together: a rejection that nobody waits for ends the process.
    await Promise.all(sets.map((keyOf) => this.#redis.zadd(keyOf(queue), ...scores)));
  }

  /** Takes items out of the count. They leave it at their deadlines otherwise. */
  remove(queue: string, itemIds: readonly string[]): void {
    const members = membersOf(itemIds);
    this.#redis.zrem(this.#keys.unanswered(queue), ...members).catch(() => {});
    this.#redis.zrem(this.#keys.unansweredBulk(queue), ...members).catch(() => {});
  }

  /** Nobody may look at this queue any more, so its sets get their end now. */
  leave(queue: string): void {
    for (const key of [this.#keys.unanswered(queue), this.#keys.unansweredBulk(queue)]) {
      this.#redis.pexpire(key, timeToLiveMs).catch(() => {});
    }
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    try {
      const names = [...this.#queues()];
      const counts = await Promise.all(
        names.map(async (name) => {
          const { unanswered, unansweredBulk } = this.#keys;
          const sizes = [unanswered(name), unansweredBulk(name)].map((key) => this.#count(key));
          const [all = 0, bulk = 0] = await Promise.all(sizes);
          return [name, { all, bulk }] as const;
        }),
      );
      this.#counts.clear();
      for (const [name, count] of counts) this.#counts.set(name, count);
      this.#isSilent = false;
    } catch {
      // While Redis is unreachable, the count is unknown. Adding a job reports the fault.
      this.#counts.clear();
      this.#isSilent = true;
    }
  }

  async #count(key: string): Promise<number> {
    const [, , count] = await Promise.all([
      this.#redis.zremrangebyscore(key, '-inf', Math.floor(nowMs())),
      this.#redis.pexpire(key, timeToLiveMs),
      this.#redis.zcard(key),
    ]);
    return count;
  }
}
