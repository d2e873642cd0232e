// The schedule: which fault happens when, and to whom. It follows from the seed alone.
//
// Each kind has a period. In every period it happens once, at a random time, so that a run that is
// longer than the longest period sees each kind; kills alone come at the end of their period, in
// step. A victim is a number from 0 to 1, to be applied to whoever is there at the time.

import type { PoisonKind } from './poison.js';
import { makeRandom, pick, type Random, shuffle } from './random.js';

export const faultKinds = [
  'kill',
  'term',
  'stop',
  'redis-restart',
  'redis-kill',
  'redis-cut',
  'api-restart',
  'poison',
  'hang-up',
] as const;
export type FaultKind = (typeof faultKinds)[number];

/** Killing Redis may lose the last second by design (appendfsync everysec). */
export const defaultFaultKinds: readonly FaultKind[] = faultKinds.filter(
  (kind) => kind !== 'redis-kill',
);

export const cuts = ['refuse', 'freeze', 'freeze-and-drop'] as const;
export type Cut = (typeof cuts)[number];

export interface Fault {
  readonly kind: FaultKind;
  /** From the start of the run. */
  readonly atMs: number;
  /** Who it happens to, from 0 to 1. */
  readonly victim: number;
  /** How long it lasts, where it does. */
  readonly forMs: number;
  readonly cut: Cut;
  readonly poison: PoisonKind;
}

/** Rare enough that two workers, which need some seconds to start, can be there most of the time. */
const periodsMs: Record<Exclude<FaultKind, 'kill'>, number> = {
  term: 9000,
  stop: 10_000,
  'redis-restart': 11_000,
  'redis-kill': 11_000,
  'redis-cut': 11_000,
  'api-restart': 12_000,
  poison: 4000,
  'hang-up': 300,
};

/** A hang holds a worker for as long as a run may take: one of eight. */
const poisonDeck: readonly PoisonKind[] = [
  ...['crash', 'crash', 'crash'],
  ...['throw', 'throw', 'throw', 'throw'],
  'hang',
] as PoisonKind[];

/** Faults without end, in the order of their times. */
export function* makeSchedule(options: {
  seed: number;
  kinds: readonly FaultKind[];
  killEveryMs: number;
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
  { seed, killEveryMs }: { seed: number; killEveryMs: number },
): Generator<Fault, never> {
  const random = makeRandom(seed, kind);
  const poisons = drawPoisons(makeRandom(seed, `${kind} deck`));
  const periodMs = kind === 'kill' ? killEveryMs : periodsMs[kind];
  for (let period = 0; ; period++) {
    const within = random();
    yield {
      kind,
      atMs: Math.round((period + (kind === 'kill' ? 1 : within)) * periodMs),
      victim: random(),
      forMs: kind === 'redis-cut' ? Math.round(1000 + random() * 4000) : 3000,
      cut: pick(cuts, random()),
      poison: poisons.next().value,
    };
  }
}

function* drawPoisons(random: Random): Generator<PoisonKind, never> {
  while (true) yield* shuffle(poisonDeck, random);
}
