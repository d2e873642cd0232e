// The pending webhooks in Redis: what each API instance can go on with, whichever of them ends.
//
// For each host, each caller has a sorted set of its jobs whose webhooks are pending, by when to look at them next. An
// instance *claims* those that are due, which moves them into the future: if it dies, they are due again when the claim
// ends. So each webhook is delivered at least once. A host that hangs holds up nothing but its own sets.
//
// Callers share the places and the room of a host. A caller chooses the path, and one whose path hangs or fails must not
// hold up the others. A caller gets one more only while it has fewer than are free: one alone gets half, two get a third
// each, always rounded up. Without authentication there is one caller, and it gets everything.
//
// Each host also has a sorted set of its callers by their *turns*, so a claim reads only the jobs of callers that have
// some due. A turn is never later than the caller's first job, with one exception: a caller that has just been served
// goes behind those that are waiting. Every caller with pending webhooks has a turn, and one without any loses its turn
// when it comes.
//
// A job whose request is done again has a new message. The outcome of an attempt with the old one is then ignored.

import { nowMs } from '../../shared/clock.js';
import { ScorelineError } from '../../shared/errors.js';
import { lateMsMax } from '../../shared/redis/kept-results.js';
import type { Keys } from '../../shared/redis/keys.js';
import { type Redis, scoredMembersOf } from '../../shared/redis/redis.js';
import { anyone, shareOf } from '../access/caller.js';
import type { JobRecord } from '../jobs/job-record.js';
import { orUnavailable } from '../queue/queue.js';
import type { Places } from './places.js';
import { readWebhook, type Webhook } from './webhook.js';

/** When a job is first looked at, unless its end is noticed before. */
const firstLookMs = 5000;
/** How long a webhook is known, counted from when the result of its job is gone. */
const knownMs = 604_800_000;

/** A job whose webhook is pending. */
export interface PendingJob {
  readonly origin: string;
  readonly caller: string;
  readonly job: string;
}

/** A webhook that this instance may work on until the claim ends. */
export interface Claim extends PendingJob {
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

/** A host that is not allowed any more. */
export interface StrandedHost {
  readonly host: string;
  readonly pending: number;
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
   * Checks that a job may have its webhook, if it is to have one: that the host has room for one more, and the caller has
   * fewer than there is room left. Requests that ask at the same time may exceed the room a little.
   * @throws ScorelineError `overloaded`, `queue_unavailable`
   */
  async requireRoom({ caller, webhook }: Pick<JobRecord, 'caller' | 'webhook'>): Promise<void> {
    if (webhook === undefined) return;
    const { origin } = new URL(webhook);
    const [pending, own] = await orUnavailable(
      Promise.all([
        this.#redis.get(this.#keys.webhooksPending(origin)),
        this.#redis.zcard(this.#keys.webhooks(origin, caller)),
      ]),
    );
    const room = this.#pendingMax - Number(pending);
    if (room <= 0) {
      throw full(
        'webhooks_full',
        `Expected fewer than ${this.#pendingMax} webhooks for ${origin} that are not delivered yet; there is no room for more.`,
      );
    }
    if (shareOf(caller) !== undefined && own >= room) {
      throw full(
        'caller_webhooks_full',
        `Expected each caller to have fewer webhooks for ${origin} that are not delivered yet than there is room left; this one has ${own} already.`,
      );
    }
  }

  /** Returns what the script that adds a job needs to add its webhook, so there is either both or neither. */
  partsOf({ id, queued, caller, webhook, deadlineAt, keepMs }: JobRecord): {
    readonly names: readonly string[];
    readonly values: readonly (string | number)[];
  } {
    if (webhook === undefined) return { names: [], values: [] };
    const fields = { message: queued, url: webhook, caller, state: 'waiting', attempts: '0' };
    const keptMs = Math.ceil(deadlineAt + keepMs + knownMs - nowMs());
    const firstLookAt = Math.min(nowMs() + firstLookMs, deadlineAt + lateMsMax + 1);
    return {
      names: [
        this.#keys.webhook(id),
        ...this.#queueOf({ origin: new URL(webhook).origin, caller }),
        this.#keys.deadWebhooks,
      ],
      values: [JSON.stringify(fields), keptMs, Math.ceil(firstLookAt)],
    };
  }

  /** Makes the webhooks of these jobs due, unless they are no longer pending. */
  async hurry(jobs: readonly PendingJob[]): Promise<void> {
    const commands = this.#redis.multi();
    const now = Math.floor(nowMs());
    for (const { origin, caller, job } of jobs) {
      commands.zadd(this.#keys.webhooks(origin, caller), 'XX', now, job);
      commands.zadd(this.#keys.webhookTurns(origin), 'XX', 'LT', now, caller);
    }
    await commands.exec();
  }

  /**
   * Claims webhooks that are due. The callers of a host take turns, and those of one caller come first that are due for
   * longest.
   * @param places those of each host
   */
  async claim(
    places: ReadonlyMap<string, Pick<Places, 'free' | 'held'>>,
    forMs: number,
  ): Promise<Claim[]> {
    const now = Math.floor(nowMs());
    const endsAt = now + forMs;
    const origins = [...places.keys()];
    const names = origins.flatMap((origin) => this.#queueOf({ origin, caller: '' }));
    const parameters = [...places.values()].flatMap(({ free, held }) => [
      ...[free, JSON.stringify(Object.fromEntries(held))],
    ]);
    const found = await this.#redis.eval(
      ...([claimScript, names.length, ...names, now, endsAt, anyone.id, ...parameters] as const),
    );
    return (found as [string, string][][]).flatMap((claimed, at) =>
      claimed.map(([caller, job]) => ({ origin: origins[at] as string, caller, job, endsAt })),
    );
  }

  /** Ends a claim, so the webhook is looked at again at this time. Keeps an earlier time that was set meanwhile. */
  async postpone(claim: Claim, at: number): Promise<void> {
    const { caller, job, endsAt } = claim;
    const names = this.#queueOf(claim);
    const parameters = [caller, job, endsAt, Math.floor(at)];
    await this.#redis.eval(postponeScript, names.length, ...names, ...parameters);
  }

  /** Takes a job out of those that are pending, unless the claim has ended or the job has a new message. */
  async forget(claim: Claim): Promise<void> {
    const { job, endsAt } = claim;
    const names = this.#queueOf(claim);
    await this.#redis.eval(forgetScript, names.length, ...names, job, endsAt);
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

  /**
   * Records what became of an attempt, and ends the claim.
   * @returns whether the job still had this message; it has a new one if its request was done again meanwhile
   */
  async settle(claim: Claim, { message }: Webhook, settled: Settled): Promise<boolean> {
    const { caller, job } = claim;
    const { state, attempts, error = '' } = settled;
    const at = Math.ceil(settled.at);
    const names = [...this.#queueOf(claim), this.#keys.webhook(job), this.#keys.deadWebhooks];
    const hadMessage = await this.#redis.eval(
      ...[settleScript, names.length, ...names],
      ...[caller, job, message, state, at, attempts, error, this.#deadMax, at - knownMs],
    );
    return hadMessage === 1;
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
    if (webhook && (await this.#revive(job, webhook))) return;
    throw new ScorelineError(
      'webhook_not_found',
      'Expected the job of a dead letter, as GET /v1/webhooks lists them; there is none. Dead letters are kept for up to a week.',
    );
  }

  async #revive(job: string, { url, caller }: Webhook): Promise<boolean> {
    const names = [
      ...this.#queueOf({ origin: new URL(url).origin, caller }),
      ...[this.#keys.webhook(job), this.#keys.deadWebhooks],
    ];
    const parameters = [caller, job, Math.floor(nowMs())];
    const revived = this.#redis.eval(reviveScript, names.length, ...names, ...parameters);
    return (await orUnavailable(revived)) === 1;
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
    const letters = await Promise.all(
      scoredMembersOf(found).map(async ([job, diedAt]) => {
        const webhook = await this.read(job);
        return webhook && { job, diedAt, webhook };
      }),
    );
    return letters.filter((letter) => letter !== undefined);
  }

  /**
   * Counts the pending webhooks of each host, and the dead letters.
   * @throws ScorelineError `queue_unavailable`
   */
  async count(origins: readonly string[]): Promise<{ pending: number[]; dead: number }> {
    const [pending, dead] = await orUnavailable(
      Promise.all([
        Promise.all(origins.map((origin) => this.#redis.get(this.#keys.webhooksPending(origin)))),
        this.#redis.zcard(this.#keys.deadWebhooks),
      ]),
    );
    return { pending: pending.map(Number), dead };
  }

  /** Notes that webhooks may go to these hosts, for later instances that do not allow them any more. */
  async noteHosts(origins: readonly string[]): Promise<void> {
    if (origins.length > 0) await this.#redis.sadd(this.#keys.webhookHosts, ...origins);
  }

  /**
   * Counts the pending webhooks of hosts that are not among these any more, so nobody sends them.
   * @throws ScorelineError `queue_unavailable`
   */
  async countStranded(origins: readonly string[]): Promise<StrandedHost[]> {
    const noted = await orUnavailable(this.#redis.smembers(this.#keys.webhookHosts));
    const former = noted.filter((origin) => !origins.includes(origin)).sort();
    const { pending } = await this.count(former);
    return former
      .map((host, at) => ({ host, pending: pending[at] as number }))
      .filter((stranded) => stranded.pending > 0);
  }

  /** The keys of a caller's jobs for a host, of the turns of its callers, and of how many are pending. */
  #queueOf({ origin, caller }: Pick<PendingJob, 'origin' | 'caller'>): string[] {
    const { webhooks, webhookTurns, webhooksPending } = this.#keys;
    return [webhooks(origin, caller), webhookTurns(origin), webhooksPending(origin)];
  }
}

function full(reason: 'webhooks_full' | 'caller_webhooks_full', why: string): ScorelineError {
  return new ScorelineError('overloaded', `${why} Ask again later, or without Webhook-Url.`, {
    retryAfterSeconds: 60,
    reason,
  });
}

// Where `jobs`, `turns` and `count` are the keys of a host and a caller.
const queueFunctions = `
local function lengthen(key, ms)
  redis.call('PEXPIRE', key, math.max(ms, redis.call('PTTL', key)))
end

local function enqueue(jobs, turns, count, caller, job, at, ms)
  if redis.call('ZADD', jobs, at, job) == 1 then redis.call('INCRBY', count, 1) end
  redis.call('ZADD', turns, 'LT', at, caller)
  for _, key in ipairs({jobs, turns, count}) do lengthen(key, ms) end
end

local function remove(jobs, count, job)
  if redis.call('ZREM', jobs, job) == 1 then redis.call('DECRBY', count, 1) end
end`;

// KEYS: for each host the key of a caller's jobs without the caller, the turns, the count.
// ARGV: now, the end of the claim, the caller without a share, then for each host how many places are free, and how many
// each caller holds. A caller that may have no more keeps its turn and is skipped. One that is served goes behind the
// last one whose turn has come. The turns of those served in one millisecond differ by fractions of it; all other times
// are whole.
const claimScript = `
local now, endsAt, unshared = tonumber(ARGV[1]), ARGV[2], ARGV[3]

local function plan(jobs, turns, count, caller, notBefore)
  local first = redis.call('ZRANGE', jobs, 0, 0, 'WITHSCORES')[2]
  if first then
    redis.call('ZADD', turns, math.max(first, notBefore), caller)
    return
  end
  redis.call('ZREM', turns, caller)
  if redis.call('ZCARD', turns) == 0 then redis.call('DEL', count) end
end

local function claim(prefix, turns, count, free, held)
  local claimed, skipped, tooLate = {}, 0, string.format('(%d', now + 1)
  local last = redis.call('ZREVRANGEBYSCORE', turns, tooLate, '-inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
  last = math.max(now, last or now)
  while free > 0 do
    local caller = redis.call('ZRANGEBYSCORE', turns, '-inf', tooLate, 'LIMIT', skipped, 1)[1]
    if not caller then break end
    local own = held[caller] or 0
    if caller ~= unshared and own >= free then
      skipped = skipped + 1
    else
      local jobs = prefix .. caller
      local job = redis.call('ZRANGEBYSCORE', jobs, '-inf', now, 'LIMIT', 0, 1)[1]
      if job then
        redis.call('ZADD', jobs, endsAt, job)
        claimed[#claimed + 1] = {caller, job}
        held[caller] = own + 1
        free = free - 1
        last = last + 1 / 1024
      end
      -- One that has nothing due must leave the range, or this would never end.
      plan(jobs, turns, count, caller, job and last or now + 1)
    end
  end
  return claimed
end

local all = {}
for host = 1, #KEYS / 3 do
  local free, held = tonumber(ARGV[2 * host + 2]), cjson.decode(ARGV[2 * host + 3])
  all[host] = claim(KEYS[3 * host - 2], KEYS[3 * host - 1], KEYS[3 * host], free, held)
end
return all`;

/** A part of the script that adds a job, with the locals job, webhook, jobs, turns, count, dead, fields, ms and at. */
export const addWebhookScript = `
${queueFunctions}
redis.call('DEL', webhook)
for name, value in pairs(fields) do redis.call('HSET', webhook, name, value) end
redis.call('PEXPIRE', webhook, ms)
enqueue(jobs, turns, count, fields.caller, job, at, ms)
redis.call('ZREM', dead, job)`;

// KEYS: the jobs, the turns. ARGV: the caller, the job, the end of the claim, the next look.
const postponeScript = `
if redis.call('ZSCORE', KEYS[1], ARGV[2]) ~= ARGV[3] then return end
redis.call('ZADD', KEYS[1], ARGV[4], ARGV[2])
redis.call('ZADD', KEYS[2], 'LT', ARGV[4], ARGV[1])`;

// KEYS: the jobs, the turns, the count. ARGV: the job, the end of the claim.
const forgetScript = `${queueFunctions}
if redis.call('ZSCORE', KEYS[1], ARGV[1]) ~= ARGV[2] then return end
remove(KEYS[1], KEYS[3], ARGV[1])`;

// KEYS: the webhook. ARGV: the message, the event.
const keepScript = `
if redis.call('HGET', KEYS[1], 'message') == ARGV[1] then redis.call('HSET', KEYS[1], 'event', ARGV[2]) end`;

// KEYS: the jobs, the turns, the count, the webhook, the dead letters.
// ARGV: the caller, the job, the message, the state, when, the attempts, the error, the most dead letters, and from when
// on dead letters are kept.
const settleScript = `${queueFunctions}
local jobs, turns, count, webhook, dead = unpack(KEYS)
local caller, job, message, state, at, attempts, error = unpack(ARGV)
if redis.call('HGET', webhook, 'message') ~= message then return 0 end
redis.call('HSET', webhook, 'state', state, 'at', at, 'attempts', attempts)
if error ~= '' then redis.call('HSET', webhook, 'error', error) end
if state == 'retrying' then
  enqueue(jobs, turns, count, caller, job, at, redis.call('PTTL', webhook))
  return 1
end
remove(jobs, count, job)
if state == 'dead' then
  redis.call('ZADD', dead, at, job)
  redis.call('ZREMRANGEBYSCORE', dead, '-inf', ARGV[9])
  redis.call('ZREMRANGEBYRANK', dead, 0, -1 - ARGV[8])
end
return 1`;

// KEYS: the jobs, the turns, the count, the webhook, the dead letters. ARGV: the caller, the job, now.
const reviveScript = `${queueFunctions}
local jobs, turns, count, webhook, dead = unpack(KEYS)
local caller, job, now = unpack(ARGV)
if redis.call('ZREM', dead, job) == 0 then return 0 end
redis.call('HSET', webhook, 'state', 'waiting', 'attempts', '0')
redis.call('HDEL', webhook, 'at')
enqueue(jobs, turns, count, caller, job, now, redis.call('PTTL', webhook))
return 1`;
