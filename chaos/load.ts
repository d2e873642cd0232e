// The load of a run: clients that keep asking, and the tally of what became of each request.

import { setTimeout as delay } from 'node:timers/promises';
import { type Client, makeClient } from './client.js';
import type { Judge, Verdict } from './judge.js';
import { makeRandom, pick, type Random } from './random.js';
import type { Tally } from './tally.js';
import type { Input, Target } from './target.js';

/** One request in five goes to the second model and carries a photograph. */
const secondModelShare = 0.2;
/** A response may come this long after the deadline before it counts as hung. */
export const graceMs = 5000;
/**
 * A client pauses before it asks again. Without pauses, the machine has no time for the service.
 */
const thinkMsMax = 40;

export interface Load {
  /** How many requests were sent. */
  readonly sent: number;
  openClient(): Client;
  /** Sends a request and records what becomes of it. */
  send(client: Client, input: Input, mayRefuse?: boolean): Promise<Verdict>;
  /**
   * Repeats a request as long as it is refused, until the load is closed or `isOver` says so. Resolves to whether it was
   * answered.
   */
  sendUntilAnswered(
    client: Client,
    input: Input,
    random: Random,
    isOver?: () => boolean,
  ): Promise<boolean>;
  /** Chooses a model and one of its inputs. */
  choose(random: Random): Input;
  /** Starts this many clients, which ask until the load is closed. */
  start(clients: number): void;
  /** Resolves once every request that is in flight now has ended. */
  settled(): Promise<void>;
  /** Resolves once the last request has ended. */
  close(): Promise<void>;
}

export function makeLoad(parts: {
  target: Pick<Target, 'address' | 'models' | 'inputsOf'>;
  judge: Judge;
  tally: Tally;
  seed: number;
  now: () => number;
}): Load {
  const { target, judge, tally, seed, now } = parts;
  const asking: Promise<void>[] = [];
  const inFlight = new Set<Promise<unknown>>();
  let sent = 0;
  let isClosed = false;

  const openClient = () =>
    makeClient({ address: target.address, onAnsweredTwice: tally.recordAnsweredTwice });

  const send: Load['send'] = async (client, input, mayRefuse = true) => {
    sent++;
    const { model, expectation, deadlineMs } = input;
    const sentAt = now();
    const asked = client.ask(input.request, deadlineMs + graceMs);
    inFlight.add(asked);
    const outcome = await asked;
    inFlight.delete(asked);
    const request = { model, expectation, sentAt, endedAt: now(), deadlineMs };
    const judged = judge(request, outcome);
    const verdict: Verdict =
      judged.type === 'refused' && !mayRefuse
        ? { type: 'lost', reason: `refused (${judged.by}) by a service that should be well` }
        : judged;
    tally.record(request, verdict);
    return verdict;
  };

  const sendUntilAnswered: Load['sendUntilAnswered'] = async (
    client,
    input,
    random,
    isOver = () => false,
  ) => {
    while (!isClosed) {
      const verdict = await send(client, input);
      if (verdict.type !== 'refused') return true;
      if (isOver()) break;
      await delay(50 + random() * 200);
    }
    return false;
  };

  const choose = (random: Random) => {
    const [first, second] = target.models as readonly [string, string | undefined];
    const model = second !== undefined && random() < secondModelShare ? second : first;
    return pick(target.inputsOf(model), random());
  };

  const ask = async (index: number) => {
    const random = makeRandom(seed, `client ${index}`);
    const client = openClient();
    while (!isClosed) {
      await sendUntilAnswered(client, choose(random), random);
      await delay(random() * thinkMsMax);
    }
    client.close();
  };

  return {
    get sent() {
      return sent;
    },
    openClient,
    send,
    sendUntilAnswered,
    choose,
    start(clients) {
      for (let index = 0; index < clients; index++) asking.push(ask(asking.length));
    },
    settled: async () => void (await Promise.all(inFlight)),
    async close() {
      isClosed = true;
      await Promise.all(asking);
    },
  };
}
