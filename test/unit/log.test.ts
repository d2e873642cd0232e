import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { makeSeldom } from '../../shared/process/log.js';

function makeScene() {
  const lines: { at: number; msg: string; leftOut?: number; part?: string }[] = [];
  let nowMs = 0;
  const write = (line: string) => void lines.push({ at: nowMs, ...JSON.parse(line) });
  const log = pino({ base: null, timestamp: false }, { write });
  const make = () => makeSeldom(log, 'warn', () => nowMs);
  /** Lets a fault come every 100 ms until `untilMs`. */
  const last = (untilMs: number, ...parts: ReturnType<typeof make>[]) => {
    for (; nowMs < untilMs; nowMs += 100) for (const warn of parts) warn({}, 'fault');
  };
  const at = (ms: number) => {
    nowMs = ms;
  };
  return { lines, make, last, at };
}

describe('a line that is written seldom', () => {
  test('comes at once, and then after pauses that grow to a minute', () => {
    const { lines, make, last } = makeScene();
    last(400_000, make());
    const seconds = lines.map(({ at }) => at / 1000);
    expect(seconds).toEqual([0, 1, 3, 7, 15, 31, 63, 123, 183, 243, 303, 363]);
    expect(lines.map(({ leftOut }) => leftOut).slice(0, 4)).toEqual([undefined, 9, 19, 39]);
  });

  test('is shared by the parts of a process', () => {
    const { lines, make, last } = makeScene();
    last(2000, make(), make(), make());
    expect(lines.map(({ leftOut }) => leftOut)).toEqual([undefined, 29]);
  });

  test('comes at once again after a quiet time', () => {
    const { lines, make, last, at } = makeScene();
    const warn = make();
    last(10_000, warn);
    at(40_000);
    last(41_500, warn);
    expect(lines.map((line) => line.at / 1000)).toEqual([0, 1, 3, 7, 40, 41]);
  });

  test('does not hold back another line', () => {
    const { lines, make } = makeScene();
    const warn = make();
    warn({}, 'fault');
    warn({}, 'another');
    expect(lines.map(({ msg }) => msg)).toEqual(['fault', 'another']);
  });
});
