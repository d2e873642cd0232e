// Measures a steady load with and without a flood beside it, in turn, and compares neighbouring rounds.
//
// The flood comes from a process of its own that gives way to all others: elsewhere it would run on other
// machines.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import os from 'node:os';
import { encodeRequest } from './client.js';
import type { FloodOptions } from './flood.js';
import { median, quantile } from './load.js';
import { runOpenLoop } from './open-loop.js';
import { report } from './report.js';

/** How far the flood gives way to the other processes. */
const niceness = 10;

export interface SteadyLoad {
  readonly port: number;
  readonly pathname: string;
  readonly bodies: readonly (string | Buffer)[];
  readonly headers?: Readonly<Record<string, string>>;
  readonly isRight: (answer: string) => boolean;
  readonly perSecond: number;
  /** How often the load looks which requests are due; by default as the open loop does. */
  readonly stepMs?: number | undefined;
  /** How long each round takes. */
  readonly seconds: number;
}

export interface Round {
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly slowestMs: number;
  readonly wrong: number;
}

/** The rounds, and how often the flood was answered, by status. */
export interface FloodedRounds {
  readonly rounds: readonly { readonly alone: Round; readonly flooded: Round }[];
  readonly perSecond: Readonly<Record<string, number>>;
}

export async function runFloodedRounds(
  steady: SteadyLoad,
  flood: FloodOptions,
  count: number,
): Promise<FloodedRounds> {
  const flooder = startFlooder();
  const statuses: Record<string, number> = {};
  const measureFlooded = async () => {
    flooder.send(flood);
    const round = await measureSteady(steady);
    flooder.send('stop');
    const [answered] = (await once(flooder, 'message')) as [Record<string, number>];
    for (const [status, times] of Object.entries(answered)) {
      statuses[status] = (statuses[status] ?? 0) + times;
    }
    return round;
  };

  const rounds = [];
  for (let at = 0; at < count; at++) {
    if (at % 2 === 0) {
      const alone = await measureSteady(steady);
      rounds.push({ alone, flooded: await measureFlooded() });
    } else {
      const flooded = await measureFlooded();
      rounds.push({ alone: await measureSteady(steady), flooded });
    }
  }
  flooder.disconnect();
  const floodedSeconds = steady.seconds * count;
  const entries = Object.entries(statuses).map(([status, times]) => [
    status,
    times / floodedSeconds,
  ]);
  return { rounds, perSecond: Object.fromEntries(entries) };
}

/**
 * Starts the process that floods. Linux groups processes by their sessions, and shares the processors among the groups
 * first. There a process gives way to others only if its group does.
 */
function startFlooder(): ChildProcess {
  const flooder = fork(new URL('./flood.js', import.meta.url), {
    serialization: 'advanced',
    detached: true,
  });
  os.setPriority(flooder.pid as number, niceness);
  try {
    writeFileSync(`/proc/${flooder.pid}/autogroup`, String(niceness));
  } catch {
    // There are no such groups here.
  }
  return flooder;
}

/** Sends the steady load for one round. */
export async function measureSteady(steady: SteadyLoad): Promise<Round> {
  const { port, pathname, bodies, headers, isRight, perSecond, seconds, stepMs } = steady;
  const run = await runOpenLoop({
    ports: [port],
    requests: bodies.map((body) => encodeRequest({ pathname, body, headers })),
    isRight,
    perSecond,
    seconds,
    stepMs,
    connections: 64,
    connectionsMax: 512,
  });
  await run.settle(5000);
  const latencies = run.exchanges
    .map(({ dueAt, endedAt }) => endedAt - dueAt)
    .toSorted((a, b) => a - b);
  return {
    medianMs: quantile(latencies, 0.5),
    p99Ms: quantile(latencies, 0.99),
    slowestMs: latencies.at(-1) ?? 0,
    wrong: run.unsent + run.exchanges.filter((exchange) => !exchange.isRight).length,
  };
}

/** Prints the latencies of the steady load, and the ratios with the flood to those without it. */
export function reportFloodedRounds(
  name: string,
  who: string,
  { rounds, perSecond }: FloodedRounds,
): void {
  const of = (side: 'alone' | 'flooded', pick: (round: Round) => number) =>
    median(rounds.map((round) => pick(round[side])));
  const rows = (['alone', 'flooded'] as const).map((side) => ({
    [who]: side,
    'median ms': of(side, (round) => round.medianMs).toFixed(2),
    'p99 ms': of(side, (round) => round.p99Ms).toFixed(2),
    wrong: rounds.reduce((sum, round) => sum + round[side].wrong, 0),
  }));
  const flood = Object.entries(perSecond).map(
    ([status, rate]) => [`flood_${status}_per_second`, rate] as const,
  );
  report(name, rows, {
    p99: median(rounds.map(({ alone, flooded }) => flooded.p99Ms / alone.p99Ms)),
    median: median(rounds.map(({ alone, flooded }) => flooded.medianMs / alone.medianMs)),
    ...Object.fromEntries(flood),
  });
}
