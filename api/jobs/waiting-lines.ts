// The places of queued jobs in the lines of their models and priorities, and how long they will wait.
//
// A line is read as a whole, at most once a second while somebody asks. So it costs Redis the same however many ask.
// What stands in line are the jobs of the queue: those of callers, and those of requests that wait, of which
// several may share one. From one reading to the next, those that have left the line tell how fast it moves.

import { makeRate, type Rate } from '../admission/rate.js';
import type { Queue } from '../queue/queue.js';

/** The most places that are read. A job behind them has none that is known. */
export const placesMax = 10_000;
const readAgainMs = 1000;
/** A job that is not in the line may have come after it was read. */
const missingAgainMs = 100;
/** A line that nobody has asked for in this time is forgotten. */
const forgottenMs = 60_000;

/** The place of a job in the line of its model. */
export interface Standing {
  /** 1 is the next that a worker takes. */
  readonly position: number;
  /** Until a worker takes it; undefined while it is not known how fast the line moves. */
  readonly estimatedWaitMs: number | undefined;
}

interface Line {
  /** When it was read. */
  readonly atMs: number;
  /** From the id of a job to its position. */
  readonly positions: ReadonlyMap<string, number>;
  /** How many leave it. */
  readonly rate: Rate;
}

export class WaitingLines {
  readonly #queue: Pick<Queue, 'readWaiting'>;
  readonly #now: () => number;
  readonly #lines = new Map<string, Line>();
  readonly #readings = new Map<string, Promise<Line>>();

  /** @param now milliseconds from any origin */
  constructor(queue: Pick<Queue, 'readWaiting'>, now: () => number) {
    this.#queue = queue;
    this.#now = now;
  }

  /**
   * Returns the place of a job in the queue of this name (shared/wire/priority.ts). Undefined if it does not wait, too many
   * are before it, or Redis cannot tell.
   */
  async of(queue: string, job: string): Promise<Standing | undefined> {
    const line = await this.#lineFor(queue, job).catch(() => undefined);
    const position = line?.positions.get(job);
    if (!line || position === undefined) return undefined;
    const waitMs = line.rate.msFor(position);
    return { position, estimatedWaitMs: waitMs === undefined ? undefined : Math.round(waitMs) };
  }

  async #lineFor(queue: string, job: string): Promise<Line> {
    const line = this.#lines.get(queue);
    const ageMs = line ? this.#now() - line.atMs : Number.POSITIVE_INFINITY;
    if (line && ageMs < readAgainMs && (ageMs < missingAgainMs || hasPlaceFor(line, job))) {
      return line;
    }
    const known = this.#readings.get(queue);
    if (known) return known;
    const reading = this.#read(queue).finally(() => this.#readings.delete(queue));
    this.#readings.set(queue, reading);
    return reading;
  }

  async #read(queue: string): Promise<Line> {
    const ids = await this.#queue.readWaiting(queue, placesMax);
    const atMs = this.#now();
    const positions = new Map(ids.map((id, ahead) => [id, ahead + 1]));
    const last = this.#lines.get(queue);
    const line = { atMs, positions, rate: last?.rate ?? makeRate() };
    if (last) measure(last, line);
    for (const [name, { atMs: readAt }] of this.#lines) {
      if (atMs - readAt > forgottenMs) this.#lines.delete(name);
    }
    this.#lines.set(queue, line);
    return line;
  }
}

/** Whether the line has the job, or is so long that the job may be behind it. */
function hasPlaceFor({ positions }: Line, job: string): boolean {
  return positions.has(job) || positions.size === placesMax;
}

/** Adds how many have left to the rate. If all have left, more might have, so that says nothing. */
function measure(before: Line, after: Line): void {
  let left = 0;
  for (const id of before.positions.keys()) if (!after.positions.has(id)) left++;
  if (left < before.positions.size) after.rate.add(left, after.atMs - before.atMs);
}
