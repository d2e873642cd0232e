import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { makeTurns } from '../../api/kinds/turns.js';
import { everythingDone } from './clock.js';

const { signal } = new AbortController();

/** Makes work that the test settles. */
function makeWork() {
  const started: string[] = [];
  const ends = new Map<string, { resolve: () => void; reject: (error: Error) => void }>();
  const work = (name: string) => () => {
    started.push(name);
    return new Promise<void>((resolve, reject) => ends.set(name, { resolve, reject }));
  };
  return { started, ends, work };
}

test('up to the maximum runs at a time, and the rest follows in order', async () => {
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

test('failed work rejects its own promise, and frees its slot', async () => {
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

test('waiting work whose signal is aborted never starts, and the rest goes on', async () => {
  const { started, ends, work } = makeWork();
  const takeTurn = makeTurns(1);
  const controllers = [0, 1, 2].map(() => new AbortController());
  const [a, b, c] = ['a', 'b', 'c'].map((name, index) =>
    takeTurn(work(name), (controllers[index] as AbortController).signal),
  );
  controllers[1]?.abort(new Error('left'));
  await expect(b).rejects.toThrow('left');
  ends.get('a')?.resolve();
  await a;
  await everythingDone();
  expect(started).toEqual(['a', 'c']);
  ends.get('c')?.resolve();
  await c;
  for (const { signal } of controllers) expect(getEventListeners(signal, 'abort')).toEqual([]);
});

test('work with an aborted signal takes no slot', async () => {
  const { started, work } = makeWork();
  const takeTurn = makeTurns(1);
  const left = AbortSignal.abort(new Error('left'));
  await expect(takeTurn(work('a'), left)).rejects.toThrow('left');
  expect(started).toEqual([]);
  void takeTurn(work('b'), signal);
  expect(started).toEqual(['b']);
});

test('running work goes on to its end if its signal is aborted', async () => {
  const { ends, work } = makeWork();
  const takeTurn = makeTurns(1);
  const client = new AbortController();
  const done = takeTurn(work('a'), client.signal);
  client.abort(new Error('left'));
  ends.get('a')?.resolve();
  await done;
});

test('if a signal is aborted just as a slot becomes free, the next work gets the slot', async () => {
  const { started, ends, work } = makeWork();
  const takeTurn = makeTurns(1);
  const client = new AbortController();
  const first = takeTurn(work('a'), signal);
  const left = takeTurn(work('b'), client.signal);
  const next = takeTurn(work('c'), signal);
  ends.get('a')?.resolve();
  void first.then(() => client.abort(new Error('left')));
  await Promise.allSettled([first, Promise.race([left, everythingDone()])]);
  ends.get('b')?.resolve();
  await Promise.allSettled([left]);
  await everythingDone();
  ends.get('c')?.resolve();
  await next;
  expect(started.at(-1)).toBe('c');
});
