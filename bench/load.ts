// A closed-loop load generator on raw sockets: N clients, each of which sends its next request when
// it has its answer. Light, since it runs on the cores it measures; it checks every answer.

import { encodeRequest, makeClient } from './client.js';

export interface Load {
  /** Where to: http://127.0.0.1:PORT/path. Loopback only. */
  readonly url: string;
  readonly clients: number;
  readonly seconds: number;
  /** The body of the n-th request, and whether an answer to it is right. */
  readonly bodies: readonly (string | Buffer)[];
  /** Beside those that every request has; JSON where no other Content-Type is given. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly isRight: (answer: string, index: number) => boolean;
}

export interface LoadResult {
  readonly perSecond: number;
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly wrong: number;
}

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
    medianMs: quantile(latenciesMs, 0.5),
    p99Ms: quantile(latenciesMs, 0.99),
    wrong,
  };
}

/** The value below which the given share of the sorted values lies. */
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
