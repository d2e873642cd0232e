// An open-loop load generator. Requests arrive at random (Poisson) times, like those of many
// independent clients, whether or not earlier ones were answered. A latency counts from the time a
// request was due, not from when it was sent. So a generator that lags cannot hide slow answers.

import { setTimeout as delay } from 'node:timers/promises';
import { type Client, makeClient } from './client.js';

/** The generator wakes at this interval. Waking for every request costs as much as sending it. */
const stepMsDefault = 5;

export interface OpenLoad {
  /** The ports of 127.0.0.1 to send to, in turn. */
  readonly ports: readonly number[];
  /** The requests to send, in turn. */
  readonly requests: readonly Buffer[];
  /** Checks the body of a 200 answer to the arrival with this number. */
  readonly isRight: (answer: string, index: number) => boolean;
  readonly perSecond: number;
  readonly seconds: number;
  /** How often the generator wakes. Latencies count from when a request was due, so they include half of it. */
  readonly stepMs?: number | undefined;
  /** Connections to open before the first arrival. */
  readonly connections: number;
  /** Once all of these are in use, further arrivals are not sent but counted as `unsent`. */
  readonly connectionsMax: number;
}

/** One request and what became of it. Times are in ms, as of `performance.now()`. */
export interface Exchange {
  readonly dueAt: number;
  /** Undefined as long as there is no answer. */
  status: number | 'connection closed' | undefined;
  /** NaN as long as there is no answer. */
  endedAt: number;
  isRight: boolean;
  retryAfterSeconds: number | undefined;
}

export interface OpenRun {
  readonly startedAt: number;
  readonly stoppedAt: number;
  readonly exchanges: readonly Exchange[];
  /** How many arrivals found no free connection. */
  readonly unsent: number;
  /** Waits up to this long for outstanding answers, and then closes the connections. */
  settle(withinMs: number): Promise<void>;
}

/** Resolves once the last request is sent. Exchanges still fill in as their answers arrive. */
export async function runOpenLoop(load: OpenLoad): Promise<OpenRun> {
  const { stepMs = stepMsDefault } = load;
  const share = 1 / load.ports.length;
  const pools = load.ports.map((port) => makePool(port, load.connectionsMax * share));
  const atFirst = Math.min(load.connections, load.connectionsMax);
  await Promise.all(pools.map((pool) => pool.open(atFirst * share)));
  const exchanges: Exchange[] = [];
  const waiting = new Set<Promise<void>>();
  let arrivals = 0;

  const send = (dueAt: number) => {
    const index = arrivals++;
    const pool = pools[index % pools.length] as Pool;
    const client = pool.take();
    if (!client) return;
    const exchange = newExchange(dueAt);
    exchanges.push(exchange);
    const answered = exchangeOver(client, index, exchange).finally(() => pool.giveBack(client));
    waiting.add(answered);
    void answered.then(() => waiting.delete(answered));
  };

  const exchangeOver = async (client: Client, index: number, exchange: Exchange) => {
    const request = load.requests[index % load.requests.length] as Buffer;
    const answer = await client.ask(request).catch(() => undefined);
    exchange.endedAt = performance.now();
    exchange.status = answer?.status ?? 'connection closed';
    exchange.retryAfterSeconds = answer?.retryAfterSeconds;
    exchange.isRight = answer?.status === 200 && load.isRight(answer.body, index);
  };

  const startedAt = performance.now();
  const stoppedAt = startedAt + load.seconds * 1000;
  let dueAt = startedAt;
  while (dueAt < stoppedAt) {
    const until = Math.min(performance.now(), stoppedAt);
    while (dueAt < until) {
      send(dueAt);
      dueAt += (-Math.log(1 - Math.random()) * 1000) / load.perSecond;
    }
    await delay(stepMs);
  }
  return {
    startedAt,
    stoppedAt,
    exchanges,
    unsent: arrivals - exchanges.length,
    settle: async (withinMs) => {
      await Promise.race([Promise.all(waiting), delay(withinMs)]);
      for (const pool of pools) pool.close();
    },
  };
}

function newExchange(dueAt: number): Exchange {
  return {
    dueAt,
    status: undefined,
    endedAt: Number.NaN,
    isRight: false,
    retryAfterSeconds: undefined,
  };
}

type Pool = ReturnType<typeof makePool>;

function makePool(port: number, max: number) {
  const all: Client[] = [];
  const idle: Client[] = [];
  return {
    async open(count: number): Promise<void> {
      while (all.length < count) {
        const client = makeClient(port);
        await client.open();
        all.push(client);
        idle.push(client);
      }
    },
    /** Returns undefined if all the connections are in use. */
    take(): Client | undefined {
      // Take the longest idle one: a server closes connections that stay idle.
      const known = idle.shift();
      if (known || all.length >= max) return known;
      const client = makeClient(port);
      all.push(client);
      return client;
    },
    giveBack: (client: Client) => {
      idle.push(client);
    },
    close: () => {
      for (const client of all) client.close();
    },
  };
}
