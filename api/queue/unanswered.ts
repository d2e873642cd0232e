// The count of each queue's unanswered items, which admission, `/v1/models` and autoscaling read.
//
// The unanswered items of a queue are a sorted set by deadline, in which an item has a member for each
// of its rows. The API adds an item right before its job. The worker removes it right behind its reply.
// Each reader removes items past their deadline. So the size of the set stays right, whichever process
// dies.

import { nowMs } from '../../shared/clock.js';
import { membersOf } from '../../shared/item-id.js';
import type { BatchJob } from '../../shared/job.js';
import type { Keys } from '../../shared/keys.js';
import type { Redis } from '../../shared/redis.js';

/** How often the unanswered items are counted. */
const lookEveryMs = 1000;
/** How long the set outlives the last process that reads it. */
const timeToLiveMs = 86_400_000;

export class Unanswered {
  readonly #redis: Redis;
  readonly #keys: Keys;
  /** By queue, at the last look. */
  readonly #counts = new Map<string, number>();
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
    return this.#counts.get(queue);
  }

  /**
   * Counts the items of a job. Call it before the job is added: a worker may answer before this process has its
   * next turn, and what it has removed must not be counted after that.
   */
  async add(queue: string, { items }: BatchJob): Promise<void> {
    // Whole milliseconds, because Redis takes 3.6 times as long for fractions (measured).
    const scores = items.flatMap(({ id, deadlineAt }) =>
      membersOf([id]).flatMap((member) => [Math.ceil(deadlineAt), member]),
    );
    await this.#redis.zadd(this.#keys.unanswered(queue), ...scores);
  }

  /** Takes items out of the count. They leave it at their deadlines otherwise. */
  remove(queue: string, itemIds: readonly string[]): void {
    this.#redis.zrem(this.#keys.unanswered(queue), ...membersOf(itemIds)).catch(() => {});
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    try {
      const names = [...this.#queues()];
      const counts = await Promise.all(names.map((name) => this.#count(name)));
      this.#counts.clear();
      for (const [index, name] of names.entries()) this.#counts.set(name, counts[index] ?? 0);
      this.#isSilent = false;
    } catch {
      // While Redis is unreachable, the count is unknown. Adding a job reports the fault.
      this.#counts.clear();
      this.#isSilent = true;
    }
  }

  async #count(queue: string): Promise<number> {
    const key = this.#keys.unanswered(queue);
    const [, , count] = await Promise.all([
      this.#redis.zremrangebyscore(key, '-inf', Math.floor(nowMs())),
      this.#redis.pexpire(key, timeToLiveMs),
      this.#redis.zcard(key),
    ]);
    return count;
  }
}
