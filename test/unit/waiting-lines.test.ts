import { describe, expect, test } from 'vitest';
import { placesMax, WaitingLines } from '../../api/jobs/waiting-lines.js';

/** The line of a queue, and a clock that the test sets. */
function makeLines(ids: string[]) {
  const state = { ids, nowMs: 0, readings: 0, isAway: false };
  const readWaiting = async (_name: string, count: number) => {
    state.readings++;
    if (state.isAway) throw new Error('Redis is away.');
    return state.ids.slice(0, count);
  };
  const lines = new WaitingLines({ readWaiting }, () => state.nowMs);
  const later = (ms: number, ...left: string[]) => {
    state.nowMs += ms;
    state.ids = state.ids.filter((id) => !left.includes(id));
  };
  return { state, later, of: (id: string) => lines.of('queue', id) };
}

describe('the standing of a job', () => {
  test('counts from the next one, and is not known of a job that does not wait', async () => {
    const { of } = makeLines(['a', 'b', 'c']);
    expect(await of('a')).toEqual({ position: 1 });
    expect(await of('c')).toEqual({ position: 3 });
    expect(await of('d')).toBeUndefined();
  });

  test('is read once a second, however many ask', async () => {
    const { state, later, of } = makeLines(['a', 'b', 'c']);
    await Promise.all(Array.from({ length: 100 }, () => of('a')));
    later(999);
    await of('b');
    expect(state.readings).toBe(1);
    later(1, 'a');
    expect(await of('b')).toMatchObject({ position: 1 });
    expect(state.readings).toBe(2);
  });

  test('is looked for again soon where a job has come since', async () => {
    const { state, later, of } = makeLines(['a']);
    await of('a');
    state.ids.push('b');
    expect(await of('b')).toBeUndefined();
    later(100);
    expect(await of('b')).toEqual({ position: 2 });
    expect(state.readings).toBe(2);
  });

  test('is not known behind the places that are read', async () => {
    const ids = Array.from({ length: placesMax + 1 }, (_, at) => `job-${at}`);
    const { state, later, of } = makeLines(ids);
    expect(await of(`job-${placesMax - 1}`)).toEqual({ position: placesMax });
    expect(await of(`job-${placesMax}`)).toBeUndefined();
    later(500);
    expect(await of(`job-${placesMax}`)).toBeUndefined();
    expect(state.readings).toBe(1);
  });

  test('is not known while Redis cannot tell', async () => {
    const { state, later, of } = makeLines(['a']);
    await of('a');
    state.isAway = true;
    later(1000);
    expect(await of('a')).toBeUndefined();
    state.isAway = false;
    expect(await of('a')).toEqual({ position: 1 });
  });
});

describe('the estimated wait', () => {
  test('follows from how fast the line has moved', async () => {
    const { later, of } = makeLines(['a', 'b', 'c', 'd', 'e', 'f']);
    await of('f');
    later(1000, 'a', 'b');
    expect(await of('f')).toEqual({ position: 4, estimatedWaitMs: 2000 });
    expect(await of('c')).toEqual({ position: 1, estimatedWaitMs: 500 });
  });

  test('is not known while nothing has left the line, and jobs that come do not matter', async () => {
    const { state, later, of } = makeLines(['a', 'b', 'c']);
    await of('c');
    later(1000);
    state.ids.push('d');
    expect(await of('c')).toEqual({ position: 3 });
  });

  test('counts a job that is put back in front as one that has not left', async () => {
    const { state, later, of } = makeLines(['a', 'b', 'c', 'd']);
    await of('d');
    later(1000, 'a', 'b');
    state.ids.unshift('a');
    expect(await of('d')).toEqual({ position: 3, estimatedWaitMs: 3000 });
  });

  test('learns nothing from a line that all have left', async () => {
    const { state, later, of } = makeLines(['a', 'b']);
    await of('b');
    later(60_000, 'a', 'b');
    state.ids.push('c');
    expect(await of('c')).toEqual({ position: 1 });
  });
});
