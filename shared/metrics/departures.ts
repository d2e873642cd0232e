// The series of versions that have left. They stay for a while, so the last scrapes have their final values, and then
// go, so the number of series does not grow with each version that a process has ever served.

import type { Model } from '../registry/models.js';
import type { Instruments } from './instruments.js';

const keptMs = 15 * 60_000;

type Departed = Pick<Model, 'name' | 'version'>;

/**
 * Returns a function to be called when a version has left.
 * @param readPresent returns what is there: a version may have come back, or have left with one of its files only
 */
export function makeDepartures(
  instruments: Pick<Instruments, 'forget'>,
  readPresent: () => readonly Departed[],
  afterMs = keptMs,
): (departed: Departed) => void {
  return ({ name, version }) => {
    const forget = () => {
      const isThere = readPresent().some((each) => each.name === name && each.version === version);
      if (!isThere) void instruments.forget({ model: name, version });
    };
    setTimeout(forget, afterMs).unref();
  };
}
