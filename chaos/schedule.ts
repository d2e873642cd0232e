// The schedule says which fault happens when, and to which process. It follows from the seed alone.
//
// Each kind of fault has a period, and happens once in every period at a random time. So a run that
// is longer than the longest period sees each kind. Kills are regular instead: each comes at the
// end of its period. A victim is a number from 0 to 1, which picks one of the processes that run
// then.

import type { PoisonKind } from './poison.js';
import { makeRandom, pick, type Random, shuffle } from './random.js';

export const faultKinds = [
  'kill',
  'term',
  'stop',
  'redis-restart',
  'redis-kill',
  'redis-cut',
  'worker-cut',
  'no-workers',
  'api-restart',
  'api-cut',
  'poison',
  'hang-up',
] as const;
export type FaultKind = (typeof faultKinds)[number];

/** Ways to cut a connection; see `CuttableProxy.cut`. */
export const cuts = ['refuse', 'freeze', 'freeze-and-drop'] as const;
export type Cut = (typeof cuts)[number];

export interface Fault {
  readonly kind: FaultKind;
  /** Counts from the start of the run. */
  readonly atMs: number;
  /** Picks the process or the model, from 0 to 1. */
  readonly victim: number;
  /** How long a `stop`, a cut or `no-workers` lasts. */
  readonly forMs: number;
  /** How a `redis-cut` cuts. */
  readonly cut: Cut;
  /** What a `poison` does. */
  readonly poison: PoisonKind;
}

/** Rare enough that both workers, which take some seconds to start, are up most of the time. */
const periodsMs: Record<Exclude<FaultKind, 'kill'>, number> = {
  term: 9000,
  stop: 10_000,
  'redis-restart': 11_000,
  'redis-kill': 11_000,
  'redis-cut': 11_000,
  'worker-cut': 9000,
  'no-workers': 20_000,
  'api-restart': 12_000,
  'api-cut': 12_000,
  poison: 4000,
  'hang-up': 300,
};

/** Only one poison in eight hangs, because a hang holds a worker for all of `runMsMax`. */
const poisonDeck: readonly PoisonKind[] = [
  ...['crash', 'crash', 'crash'],
  ...['throw', 'throw', 'throw', 'throw'],
  'hang',
] as PoisonKind[];

/** Yields faults in the order of their times, without end. Throws if `kinds` is empty. */
export function* makeSchedule(options: {
  seed: number;
  kinds: readonly FaultKind[];
  killEveryMs: number;
  /** Multiplies all periods but that of kills. */
  stretch: number;
}): Generator<Fault, never> {
  const streams = options.kinds.map((kind) => makeStream(kind, options));
  if (streams.length === 0) throw new Error('Expected at least one kind of fault.');
  const next = streams.map((stream) => stream.next().value);
  while (true) {
    const atMs = Math.min(...next.map((fault) => fault.atMs));
    const index = next.findIndex((fault) => fault.atMs === atMs);
    yield next[index] as Fault;
    next[index] = (streams[index] as (typeof streams)[number]).next().value;
  }
}

function* makeStream(
  kind: FaultKind,
  { seed, killEveryMs, stretch }: { seed: number; killEveryMs: number; stretch: number },
): Generator<Fault, never> {
  const random = makeRandom(seed, kind);
  const poisons = drawPoisons(makeRandom(seed, `${kind} deck`));
  const periodMs = kind === 'kill' ? killEveryMs : periodsMs[kind] * stretch;
  for (let period = 0; ; period++) {
    const within = random();
    yield {
      kind,
      atMs: Math.round((period + (kind === 'kill' ? 1 : within)) * periodMs),
      victim: random(),
      forMs: kind.endsWith('-cut') ? Math.round(1000 + random() * 4000) : 3000,
      cut: pick(cuts, random()),
      poison: poisons.next().value,
    };
  }
}

function* drawPoisons(random: Random): Generator<PoisonKind, never> {
  while (true) yield* shuffle(poisonDeck, random);
}
