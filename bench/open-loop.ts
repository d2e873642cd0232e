// An open-loop load generator: requests arrive at random (Poisson) times whether earlier ones were
// answered or not, as those of many independent clients do. A latency runs from the time at which a
// request was due, so that a generator that lags hides nothing.

import { type Client, makeClient } from './client.js';

/** What is due is sent in steps: to wake up for each request alone costs as much as to send it. */
const stepMs = 5;

export interface OpenLoad {
  /** The ports of 127.0.0.1 to send to, in turn. */
  readonly ports: readonly number[];
  readonly requests: readonly Buffer[];
  readonly isRight: (answer: string, index: number) => boolean;
  readonly perSecond: number;
  readonly seconds: number;
  /** Connections that are there from the beginning. */
  readonly connections: number;
  /** Beyond these an arrival is not sent, and counted as that. */
  readonly connectionsMax: number;
}

export interface Exchange {
  readonly dueAt: number;
  /** Undefined while there is no answer. */
  status: number | 'connection closed' | undefined;
  endedAt: number;
  isRight: boolean;
  retryAfterSeconds: number | undefined;
}

export interface OpenRun {
  readonly startedAt: number;
  readonly stoppedAt: number;
  readonly exchanges: readonly Exchange[];
  /** Arrivals for which there was no connection left. */
  readonly unsent: number;
  /** Waits for the answers that are still to come, up to this long, and closes the connections. */
  settle(withinMs: number): Promise<void>;
}

/** Resolves when the last request was sent; the exchanges are completed as answers come. */
export async function runOpenLoop(load: OpenLoad): Promise<OpenRun> {
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
    /** Undefined when as many are in use as there may be. */
    take(): Client | undefined {
      // In turn, since a server closes connections on which nothing comes.
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

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
