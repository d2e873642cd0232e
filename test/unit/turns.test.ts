import { expect, test } from 'vitest';
import { makeTurns } from '../../api/kinds/turns.js';
import { everythingDone } from './clock.js';

const { signal } = new AbortController();

/** Work that is done when the test says so. */
function makeWork() {
  const started: string[] = [];
  const ends = new Map<string, { resolve: () => void; reject: (error: Error) => void }>();
  const work = (name: string) => () => {
    started.push(name);
    return new Promise<void>((resolve, reject) => ends.set(name, { resolve, reject }));
  };
  return { started, ends, work };
}

test('as many run at a time as may, the others in the order they came', async () => {
  const { started, ends, work } = makeWork();
  const takeTurn = makeTurns(2);
  const all = ['a', 'b', 'c', 'd'].map((name) => takeTurn(work(name), signal));
  expect(started).toEqual(['a', 'b']);
  ends.get('b')?.resolve();
  await everythingDone();
  expect(started).toEqual(['a', 'b', 'c']);
  ends.get('a')?.resolve();
  await everythingDone();
  expect(started).toEqual(['a', 'b', 'c', 'd']);
  for (const { resolve } of ends.values()) resolve();
  await Promise.all(all);
});

test('work that fails fails for whoever asked, and makes room', async () => {
  const { started, ends, work } = makeWork();
  const takeTurn = makeTurns(1);
  const first = takeTurn(work('a'), signal);
  const second = takeTurn(work('b'), signal);
  ends.get('a')?.reject(new Error('no'));
  await expect(first).rejects.toThrow('no');
  await everythingDone();
  ends.get('b')?.resolve();
  await second;
  const third = takeTurn(work('c'), signal);
  expect(started).toEqual(['a', 'b', 'c']);
  ends.get('c')?.resolve();
  await third;
});
