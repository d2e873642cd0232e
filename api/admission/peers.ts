// What API instances tell each other about a model: how many inputs each has in flight, and how many
// were answered so far. So an instance that has just been started during an overload knows how long
// the queue is and how fast it drains, before it has waited through it once itself.

import type { Keys } from '../../shared/keys.js';
import type { Redis } from '../../shared/redis.js';
import { makeRate, type Rate } from './rate.js';

const everyMs = 500;
/** An instance that has said nothing for as long is gone. */
const goneAfterMs = 3000;

/** One instance and one model. */
export interface Traffic {
  readonly inFlight: number;
  readonly answered: number;
}

export interface Peers {
  /** Inputs that the other instances have in flight. */
  inFlight(queue: string): number;
  /** How long it takes until the workers have answered this many, whoever asked. */
  msFor(queue: string, count: number): number | undefined;
  close(): void;
}

interface Word extends Traffic {
  readonly at: number;
}

interface Known {
  /** By instance, this one included. */
  readonly words: ReadonlyMap<string, Word>;
  readonly rate: Rate;
}

export function openPeers(options: {
  redis: Redis;
  keys: Keys;
  instance: string;
  /** Queues, with the batch size of each; less in flight than this is no backlog. */
  queues: ReadonlyMap<string, number>;
  traffic: (queue: string) => Traffic;
}): Peers {
  const { redis, keys, instance, queues, traffic } = options;
  const known = new Map<string, Known>();

  const exchange = async (queue: string, batchMax: number) => {
    const key = keys.instances(queue);
    const own: Word = { ...traffic(queue), at: Date.now() };
    const results = await redis
      .multi()
      .hset(key, instance, JSON.stringify(own))
      .pexpire(key, 60_000)
      .hgetall(key)
      .exec();
    const all = Object.entries(results?.[2]?.[1] as Record<string, string>).map(
      ([name, text]) => [name, JSON.parse(text) as Word] as const,
    );
    const gone = all.filter(([, { at }]) => Math.abs(own.at - at) > goneAfterMs);
    if (gone.length > 0) await redis.hdel(key, ...gone.map(([name]) => name));
    const words = new Map(all.filter((entry) => !gone.includes(entry)));
    known.set(queue, { words, rate: nextRate(known.get(queue), words, batchMax) });
  };
  // While Redis is away nothing is known, and adding to the queue says so itself.
  const exchangeAll = () => {
    for (const [queue, batchMax] of queues) {
      exchange(queue, batchMax).catch(() => known.delete(queue));
    }
  };
  const timer = setInterval(exchangeAll, everyMs);
  exchangeAll();

  return {
    inFlight(queue) {
      let sum = 0;
      for (const [name, word] of known.get(queue)?.words ?? []) {
        if (name !== instance) sum += word.inFlight;
      }
      return sum;
    },
    msFor: (queue, count) => known.get(queue)?.rate.msFor(count),
    close: () => clearInterval(timer),
  };
}

/** Adds what was answered since the last word of each, where there was a backlog all the time. */
function nextRate(last: Known | undefined, words: Known['words'], batchMax: number): Rate {
  const rate = last?.rate ?? makeRate();
  if (!last || Math.min(inFlightOf(last.words), inFlightOf(words)) < batchMax) return rate;
  let answered = 0;
  for (const [name, word] of words) {
    answered += word.answered - (last.words.get(name)?.answered ?? word.answered);
  }
  rate.add(answered, newest(words) - newest(last.words));
  return rate;
}

function inFlightOf(words: Known['words']): number {
  return [...words.values()].reduce((sum, { inFlight }) => sum + inFlight, 0);
}

function newest(words: Known['words']): number {
  return Math.max(...[...words.values()].map(({ at }) => at));
}
