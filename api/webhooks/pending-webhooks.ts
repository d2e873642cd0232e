// The pending webhooks in Redis: what each API instance can go on with, whichever of them ends.
//
// Each host has a sorted set of the jobs whose webhooks are to be sent to it, by when to look at them next. An
// instance *claims* those that are due, which moves them into the future: if it dies, they are due again when the
// claim ends. So each webhook is delivered at least once. A host that hangs holds up nothing but its own set.
//
// A job whose request is done again has a new message. What is found out about the old one then changes nothing.

import { nowMs } from '../../shared/clock.js';
import { ScorelineError } from '../../shared/errors.js';
import { lateMsMax } from '../../shared/redis/kept-results.js';
import type { Keys } from '../../shared/redis/keys.js';
import type { Redis } from '../../shared/redis/redis.js';
import type { JobRecord } from '../jobs/job-record.js';
import { orUnavailable } from '../queue/queue.js';
import { readWebhook, type Webhook } from './webhook.js';

/** When a job is first looked at, unless its end is noticed before. */
const firstLookMs = 5000;
/** How long a webhook is known, counted from when the result of its job is gone. */
const knownMs = 604_800_000;

/** A webhook that this instance may work on until the claim ends. */
export interface Claim {
  readonly origin: string;
  readonly job: string;
  /** Milliseconds since the epoch. */
  readonly endsAt: number;
}

/** What follows from an attempt. */
export interface Settled {
  readonly state: Exclude<Webhook['state'], 'waiting'>;
  /** When the next attempt is made, or else now; milliseconds since the epoch. */
  readonly at: number;
  readonly attempts: number;
  readonly error: string | undefined;
}

export interface DeadLetter {
  readonly job: string;
  readonly diedAt: number;
  readonly webhook: Webhook;
}

export class PendingWebhooks {
  readonly #redis: Redis;
  readonly #keys: Keys;
  readonly #pendingMax: number;
  readonly #deadMax: number;

  constructor(options: { redis: Redis; keys: Keys; pendingMax: number; deadMax: number }) {
    this.#redis = options.redis;
    this.#keys = options.keys;
    this.#pendingMax = options.pendingMax;
    this.#deadMax = options.deadMax;
  }

  /**
   * Checks that a host has room for one more. Requests that ask at the same time may exceed the room a little.
   * @throws ScorelineError `overloaded`, `queue_unavailable`
   */
  async requireRoom(url: string): Promise<void> {
    const { origin } = new URL(url);
    const pending = await orUnavailable(this.#redis.zcard(this.#keys.webhooks(origin)));
    if (pending < this.#pendingMax) return;
    throw new ScorelineError(
      'overloaded',
      `Expected fewer than ${this.#pendingMax} webhooks for ${origin} that are not delivered yet; there is no room for more. Ask again later, or without Webhook-Url.`,
      { retryAfterSeconds: 60, reason: 'webhooks_full' },
    );
  }

  /** Returns what the script that adds a job needs to add its webhook, so there is either both or neither. */
  partsOf({ id, queued, caller, webhook, deadlineAt, keepMs }: JobRecord): {
    readonly names: readonly string[];
    readonly values: readonly (string | number)[];
  } {
    if (webhook === undefined) return { names: [], values: [] };
    const { webhooks, webhook: nameOf, deadWebhooks } = this.#keys;
    const fields = { message: queued, url: webhook, caller, state: 'waiting', attempts: '0' };
    const keptMs = Math.ceil(deadlineAt + keepMs + knownMs - nowMs());
    const firstLookAt = Math.min(nowMs() + firstLookMs, deadlineAt + lateMsMax + 1);
    return {
      names: [nameOf(id), webhooks(new URL(webhook).origin), deadWebhooks],
      values: [JSON.stringify(fields), keptMs, Math.ceil(firstLookAt)],
    };
  }

  /** Makes the webhooks of these jobs due, unless they are no longer pending. */
  async hurry(jobs: readonly Pick<Claim, 'origin' | 'job'>[]): Promise<void> {
    const commands = this.#redis.multi();
    const now = Math.floor(nowMs());
    for (const { origin, job } of jobs) commands.zadd(this.#keys.webhooks(origin), 'XX', now, job);
    await commands.exec();
  }

  /**
   * Claims webhooks that are due, those first that are due for longest.
   * @param rooms how many of each host
   */
  async claim(rooms: ReadonlyMap<string, number>, forMs: number): Promise<Claim[]> {
    const now = Math.floor(nowMs());
    const endsAt = now + forMs;
    const origins = [...rooms.keys()];
    const names = origins.map((origin) => this.#keys.webhooks(origin));
    const parameters = [now, endsAt, ...rooms.values()];
    const found = await this.#redis.eval(claimScript, names.length, ...names, ...parameters);
    return (found as string[][]).flatMap((jobs, at) =>
      jobs.map((job) => ({ origin: origins[at] as string, job, endsAt })),
    );
  }

  /** Ends a claim, so the webhook is looked at again at this time. Keeps an earlier time that was set meanwhile. */
  async postpone({ origin, job, endsAt }: Claim, at: number): Promise<void> {
    const key = this.#keys.webhooks(origin);
    await this.#redis.eval(postponeScript, 1, key, job, endsAt, Math.floor(at));
  }

  /** Takes a job out of those that are pending. */
  async forget({ origin, job }: Claim): Promise<void> {
    await this.#redis.zrem(this.#keys.webhooks(origin), job);
  }

  /**
   * Returns undefined if the job has no webhook, or had it long ago.
   * @throws ScorelineError `queue_unavailable`
   */
  async read(job: string): Promise<Webhook | undefined> {
    return readWebhook(await orUnavailable(this.#redis.hgetall(this.#keys.webhook(job))));
  }

  /** Keeps the message about the end of a job. */
  async keepEvent({ job }: Claim, { message }: Webhook, event: string): Promise<void> {
    await this.#redis.eval(keepScript, 1, this.#keys.webhook(job), message, event);
  }

  /** Records what became of an attempt, and ends the claim. */
  async settle({ origin, job }: Claim, { message }: Webhook, settled: Settled): Promise<void> {
    const { state, attempts, error = '' } = settled;
    const at = Math.ceil(settled.at);
    const { webhooks, webhook, deadWebhooks } = this.#keys;
    await this.#redis.eval(
      settleScript,
      3,
      ...[webhooks(origin), webhook(job), deadWebhooks],
      ...[job, message, state, at, attempts, error, this.#deadMax, at - knownMs],
    );
  }

  /**
   * Makes a dead letter pending again, with all its attempts.
   * @param origins the hosts that webhooks may go to
   * @throws ScorelineError `webhook_not_found`, `webhook_not_allowed`, `queue_unavailable`
   */
  async revive(job: string, origins: readonly string[]): Promise<void> {
    const webhook = await this.read(job);
    const host = webhook && new URL(webhook.url).origin;
    if (host !== undefined && !origins.includes(host)) {
      throw new ScorelineError(
        'webhook_not_allowed',
        `Expected a webhook to a host of WEBHOOK_HOSTS; ${host} is not in it any more. Add it first.`,
      );
    }
    const { webhooks, deadWebhooks } = this.#keys;
    const names = webhook && [
      deadWebhooks,
      this.#keys.webhook(job),
      webhooks(new URL(webhook.url).origin),
    ];
    const isRevived =
      names &&
      (await orUnavailable(this.#redis.eval(reviveScript, 3, ...names, job, Math.floor(nowMs()))));
    if (isRevived === 1) return;
    throw new ScorelineError(
      'webhook_not_found',
      'Expected the job of a dead letter, as GET /v1/webhooks lists them; there is none. Dead letters are kept for up to a week.',
    );
  }

  /**
   * Lists the dead letters, the last one first.
   * @throws ScorelineError `queue_unavailable`
   */
  async listDead(): Promise<DeadLetter[]> {
    const range = ['+inf', '-inf', 'WITHSCORES', 'LIMIT', 0, this.#deadMax] as const;
    const found = await orUnavailable(
      this.#redis.zrevrangebyscore(this.#keys.deadWebhooks, ...range),
    );
    const jobs = found.filter((_, at) => at % 2 === 0);
    const webhooks = await Promise.all(jobs.map((job) => this.read(job)));
    return jobs.flatMap((job, at) => {
      const webhook = webhooks[at];
      return webhook ? [{ job, diedAt: Number(found[2 * at + 1]), webhook }] : [];
    });
  }

  /**
   * Counts the pending webhooks of each host, and the dead letters.
   * @throws ScorelineError `queue_unavailable`
   */
  async count(origins: readonly string[]): Promise<{ pending: number[]; dead: number }> {
    const names = [...origins.map(this.#keys.webhooks), this.#keys.deadWebhooks];
    const counts = await orUnavailable(Promise.all(names.map((name) => this.#redis.zcard(name))));
    return { pending: counts.slice(0, -1), dead: counts.at(-1) ?? 0 };
  }
}

// KEYS: the pending webhooks of each host.
// ARGV: now, the end of the claim, then how many of each host.
const claimScript = `
local claimed = {}
for at = 1, #KEYS do
  claimed[at] = redis.call('ZRANGEBYSCORE', KEYS[at], '-inf', ARGV[1], 'LIMIT', 0, ARGV[at + 2])
  for _, job in ipairs(claimed[at]) do redis.call('ZADD', KEYS[at], ARGV[2], job) end
end
return claimed`;

/** A part of the script that adds a job, with the locals job, webhook, pending, dead, fields, ms and at. */
export const addWebhookScript = `
redis.call('DEL', webhook)
for name, value in pairs(fields) do redis.call('HSET', webhook, name, value) end
redis.call('PEXPIRE', webhook, ms)
redis.call('ZADD', pending, at, job)
redis.call('ZREM', dead, job)
redis.call('PEXPIRE', pending, math.max(ms, redis.call('PTTL', pending)))`;

// KEYS: the pending webhooks of a host. ARGV: the job, the end of the claim, the next look.
const postponeScript = `
if redis.call('ZSCORE', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1]) end`;

// KEYS: the webhook. ARGV: the message, the event.
const keepScript = `
if redis.call('HGET', KEYS[1], 'message') == ARGV[1] then redis.call('HSET', KEYS[1], 'event', ARGV[2]) end`;

// KEYS: the pending webhooks of a host, the webhook, the dead letters.
// ARGV: the job, the message, the state, when, the attempts, the error, the most dead letters, and from when on
// dead letters are kept.
const settleScript = `
if redis.call('HGET', KEYS[2], 'message') ~= ARGV[2] then return end
redis.call('HSET', KEYS[2], 'state', ARGV[3], 'at', ARGV[4], 'attempts', ARGV[5])
if ARGV[6] ~= '' then redis.call('HSET', KEYS[2], 'error', ARGV[6]) end
if ARGV[3] == 'retrying' then
  redis.call('ZADD', KEYS[1], ARGV[4], ARGV[1])
  return
end
redis.call('ZREM', KEYS[1], ARGV[1])
if ARGV[3] == 'dead' then
  redis.call('ZADD', KEYS[3], ARGV[4], ARGV[1])
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', ARGV[8])
  redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -1 - ARGV[7])
end`;

// KEYS: the dead letters, the webhook, the pending webhooks of its host. ARGV: the job, now.
const reviveScript = `
if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('HSET', KEYS[2], 'state', 'waiting', 'attempts', '0')
redis.call('HDEL', KEYS[2], 'at')
redis.call('ZADD', KEYS[3], ARGV[2], ARGV[1])
return 1`;
