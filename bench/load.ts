// A closed-loop load generator on raw sockets. Each of N clients sends its next request once it has
// the answer to the last one. The generator checks every answer, and is minimal otherwise because
// it shares its cores with the service it measures.

import { encodeRequest, makeClient } from './client.js';

export interface Load {
  /** As in http://127.0.0.1:PORT/path. Only loopback works. */
  readonly url: string;
  readonly clients: number;
  readonly seconds: number;
  /** The bodies to send, in turn. */
  readonly bodies: readonly (string | Buffer)[];
  /** Headers to add to every request. The Content-Type is JSON unless one is given here. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Checks the body of a 200 answer to `bodies[index]`. */
  readonly isRight: (answer: string, index: number) => boolean;
}

export interface LoadResult {
  /** Right answers per second. */
  readonly perSecond: number;
  /** How many answers came, wrong ones included. */
  readonly answers: number;
  /** Latencies include those of wrong answers. */
  readonly medianMs: number;
  readonly p99Ms: number;
  /** How many answers had another status than 200 or failed `isRight`. */
  readonly wrong: number;
}

/** Whether the body of an answer has labels, or questions, in their order. */
export const isRanked = (answer: string): boolean => answer.includes('"predictions":[{"label":');

/** Runs the load. Rejects if a connection fails. */
export async function runLoad(load: Load): Promise<LoadResult> {
  const { port, pathname } = new URL(load.url);
  const requests = load.bodies.map((body) =>
    encodeRequest({ pathname, body, headers: load.headers }),
  );
  const latenciesMs: number[] = [];
  let wrong = 0;
  let next = 0;
  const started = performance.now();
  const until = started + load.seconds * 1000;

  await Promise.all(
    Array.from({ length: load.clients }, async () => {
      const client = makeClient(Number(port));
      while (performance.now() < until) {
        const index = next++ % requests.length;
        const sent = performance.now();
        const answer = await client.ask(requests[index] as Buffer);
        latenciesMs.push(performance.now() - sent);
        if (answer.status !== 200 || !load.isRight(answer.body, index)) wrong++;
      }
      client.close();
    }),
  );
  const elapsedSeconds = (performance.now() - started) / 1000;
  latenciesMs.sort((a, b) => a - b);
  return {
    perSecond: (latenciesMs.length - wrong) / elapsedSeconds,
    answers: latenciesMs.length,
    medianMs: quantile(latenciesMs, 0.5),
    p99Ms: quantile(latenciesMs, 0.99),
    wrong,
  };
}

/**
 * Returns the value below which the given share of the sorted values lies. NaN if there are none.
 */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** The middle value; of an even number of values, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const lower = sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  return (lower + upper) / 2;
}
