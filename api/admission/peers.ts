// Peers: every half second, each API instance writes a heartbeat for each model to Redis. It says how
// many inputs the instance has in flight, and how many were answered so far. From the heartbeats, an
// instance that starts during an overload learns how long the queue is and how fast it drains, before
// it has waited through that queue itself.
//
// The machines' clocks need not agree: an instance only checks whether a heartbeat has changed, and
// measures time by its own clock.
//
// A heartbeat counts each priority by itself, as admission does.
//
// Workers keep a model as long as there are heartbeats for it. So an instance writes the first one before it looks
// whether a model has workers, and sends no request before that.

import type { Keys } from '../../shared/redis/keys.js';
import { type Redis, repliesOf } from '../../shared/redis/redis.js';
import type { Model } from '../../shared/registry/models.js';
import type { Registry } from '../../shared/registry/registry.js';
import { type Priority, priorities } from '../../shared/wire/priority.js';
import { makeRate, type Rate } from './rate.js';

const everyMs = 500;
/** An instance whose heartbeat has not changed for this long is gone. */
const goneAfterMs = 3000;
/** One whose heartbeat has not changed for this long may be gone. */
const silentMsMax = 1200;

/** What one instance counts for one model and priority. */
export interface Traffic {
  /** Inputs in flight. */
  readonly inFlight: number;
  /** Inputs that workers have answered since the instance started. */
  readonly answered: number;
}

export type Peers = ReturnType<typeof openPeers>;

/** Its own counts are those of interactive inputs. */
interface Heartbeat extends Traffic {
  /** Changes with every heartbeat, so a reader sees that the instance lives. */
  readonly beat: number;
  /** Missing as long as there is no bulk. */
  readonly bulk?: Traffic | undefined;
}

/** A heartbeat, and when this instance first saw it by its own clock. */
interface Seen {
  readonly heartbeat: Heartbeat;
  readonly sinceMs: number;
  /** Whether its instance has been seen to live: by another heartbeat before this one. */
  readonly isFollowed: boolean;
}

/** What this instance knows about one queue. */
interface Knowledge {
  /** By instance, this one included. */
  readonly seen: ReadonlyMap<string, Seen>;
  readonly rates: Readonly<Record<Priority, Rate>>;
  /** When the heartbeats were read. */
  readonly atMs: number;
}

/** Starts the exchange of heartbeats. */
export function openPeers(options: {
  redis: Redis;
  keys: Keys;
  instance: string;
  registry: Registry;
  traffic: (queue: string, priority: Priority) => Traffic;
}) {
  const { redis, keys, instance, registry, traffic } = options;
  const knowledge = new Map<string, Knowledge>();
  /** The queues with a heartbeat of this instance in Redis. */
  const written = new Set<string>();
  let beat = 0;

  const exchange = async (queue: string, batchMax: number) => {
    const key = keys.instances(queue);
    const { inFlight, answered } = traffic(queue, 'interactive');
    const bulk = traffic(queue, 'bulk');
    const hasBulk = bulk.inFlight + bulk.answered > 0;
    const own: Heartbeat = {
      ...{ inFlight, answered, beat },
      bulk: hasBulk ? { inFlight: bulk.inFlight, answered: bulk.answered } : undefined,
    };
    const told = redis
      .multi()
      .hset(key, instance, JSON.stringify(own))
      .pexpire(key, 60_000)
      .hgetall(key);
    const [, , heard] = await repliesOf(told);
    written.add(queue);
    const atMs = performance.now();
    const last = knowledge.get(queue);
    const all = Object.entries(heard as Record<string, string>).map(
      ([name, text]) => [name, see(JSON.parse(text), last?.seen.get(name), atMs)] as const,
    );
    const gone = all.filter(([, { sinceMs }]) => atMs - sinceMs > goneAfterMs);
    const seen = new Map(all.filter((entry) => !gone.includes(entry)));
    const [interactiveRate, bulkRate] = priorities.map((priority) =>
      nextRate(last, { seen, atMs }, { priority, batchMax }),
    ) as [Rate, Rate];
    knowledge.set(queue, { seen, rates: { interactive: interactiveRate, bulk: bulkRate }, atMs });
    if (gone.length > 0) await redis.hdel(key, ...gone.map(([name]) => name));
  };
  let expected: readonly Model[] = [];
  const all = () => {
    const models = [...registry.models, ...registry.draining, ...expected];
    return new Map(models.map(({ queue, manifest }) => [queue, manifest.batch.max]));
  };
  const exchangeAll = () => {
    beat++;
    for (const [queue, batchMax] of all()) {
      // While Redis is unreachable, nothing is known. Adding to the queue reports the fault.
      exchange(queue, batchMax).catch(() => {
        knowledge.delete(queue);
        written.delete(queue);
      });
    }
  };
  const timer = setInterval(exchangeAll, everyMs);
  exchangeAll();
  // A worker unloads a model when no instance sends to it any more. The others forget this one by themselves, too.
  const forget = (models: readonly Model[]) => {
    const kept = all();
    for (const { queue } of models) {
      if (kept.has(queue)) continue;
      knowledge.delete(queue);
      written.delete(queue);
      redis.hdel(keys.instances(queue), instance).catch(() => {});
    }
  };
  const unsubscribe = registry.subscribe(({ removed }) => forget(removed));

  return {
    /** How many inputs the other instances have in flight. */
    inFlight(queue: string, priority: Priority = 'interactive'): number {
      let sum = 0;
      for (const [name, { heartbeat }] of knowledge.get(queue)?.seen ?? []) {
        if (name !== instance) sum += trafficOf(heartbeat, priority).inFlight;
      }
      return sum;
    },
    /**
     * How many milliseconds the workers need for this many inputs of any instance; undefined while the
     * rate is unknown.
     */
    msFor: (queue: string, count: number, priority: Priority = 'interactive') =>
      knowledge.get(queue)?.rates[priority].msFor(count),
    /**
     * Says which models this instance may send requests to, besides those of its registry. Resolves when heartbeats for
     * them are in Redis. Rejects with an error of Redis.
     */
    async expect(models: readonly Model[]): Promise<void> {
      const before = expected;
      expected = models;
      forget(before);
      const missing = models.filter(({ queue }) => !written.has(queue));
      await Promise.all(missing.map(({ queue, manifest }) => exchange(queue, manifest.batch.max)));
    },
    close: (): void => {
      clearInterval(timer);
      unsubscribe();
    },
  };
}

function see(heartbeat: Heartbeat, last: Seen | undefined, atMs: number): Seen {
  if (last && last.heartbeat.beat === heartbeat.beat) return last;
  return { heartbeat, sinceMs: atMs, isFollowed: last !== undefined };
}

/**
 * Adds the answers since the last exchange to the rate, if there was a backlog at both exchanges. That of an instance which
 * has been killed is none: nobody counts its answers.
 */
function nextRate(
  last: Knowledge | undefined,
  { seen, atMs }: Pick<Knowledge, 'seen' | 'atMs'>,
  { priority, batchMax }: { priority: Priority; batchMax: number },
): Rate {
  const rate = last?.rates[priority] ?? makeRate();
  const isLive = ({ sinceMs, isFollowed }: Seen) => isFollowed && atMs - sinceMs < silentMsMax;
  const living = new Set([...seen].flatMap(([name, each]) => (isLive(each) ? [name] : [])));
  const inFlight = (all: Knowledge['seen']) => inFlightOf(all, living, priority);
  if (!last || Math.min(inFlight(last.seen), inFlight(seen)) < batchMax) return rate;
  let answered = 0;
  for (const [name, { heartbeat }] of seen) {
    const now = trafficOf(heartbeat, priority).answered;
    const earlier = last.seen.get(name)?.heartbeat;
    answered += Math.max(0, now - (earlier ? trafficOf(earlier, priority).answered : now));
  }
  rate.add(answered, atMs - last.atMs);
  return rate;
}

function inFlightOf(
  seen: Knowledge['seen'],
  names: ReadonlySet<string>,
  priority: Priority,
): number {
  let sum = 0;
  for (const [name, { heartbeat }] of seen) {
    if (names.has(name)) sum += trafficOf(heartbeat, priority).inFlight;
  }
  return sum;
}

const noTraffic: Traffic = { inFlight: 0, answered: 0 };

function trafficOf(heartbeat: Heartbeat, priority: Priority): Traffic {
  return priority === 'interactive' ? heartbeat : (heartbeat.bulk ?? noTraffic);
}
