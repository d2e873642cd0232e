import { getEventListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import { Turns } from '../../api/kinds/turns.js';
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
  const turns = new Turns({ max: 2 });
  const all = ['a', 'b', 'c', 'd'].map((name) => turns.take(work(name), { signal }));
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
  const turns = new Turns({ max: 1 });
  const first = turns.take(work('a'), { signal });
  const second = turns.take(work('b'), { signal });
  ends.get('a')?.reject(new Error('no'));
  await expect(first).rejects.toThrow('no');
  await everythingDone();
  ends.get('b')?.resolve();
  await second;
  const third = turns.take(work('c'), { signal });
  expect(started).toEqual(['a', 'b', 'c']);
  ends.get('c')?.resolve();
  await third;
});

test('waiting work whose signal is aborted never starts, and the rest goes on', async () => {
  const { started, ends, work } = makeWork();
  const turns = new Turns({ max: 1 });
  const controllers = [0, 1, 2].map(() => new AbortController());
  const [a, b, c] = ['a', 'b', 'c'].map((name, index) =>
    turns.take(work(name), { signal: (controllers[index] as AbortController).signal }),
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
  const turns = new Turns({ max: 1 });
  const left = AbortSignal.abort(new Error('left'));
  await expect(turns.take(work('a'), { signal: left })).rejects.toThrow('left');
  expect(started).toEqual([]);
  void turns.take(work('b'), { signal });
  expect(started).toEqual(['b']);
});

test('running work goes on to its end if its signal is aborted', async () => {
  const { ends, work } = makeWork();
  const turns = new Turns({ max: 1 });
  const client = new AbortController();
  const done = turns.take(work('a'), { signal: client.signal });
  client.abort(new Error('left'));
  ends.get('a')?.resolve();
  await done;
});

test('if a signal is aborted just as a slot becomes free, the next work gets the slot', async () => {
  const { started, ends, work } = makeWork();
  const turns = new Turns({ max: 1 });
  const client = new AbortController();
  const first = turns.take(work('a'), { signal });
  const left = turns.take(work('b'), { signal: client.signal });
  const next = turns.take(work('c'), { signal });
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

describe('slow work', () => {
  const slow = { signal, isSlow: true };

  test('leaves turns to quick work, which passes the slow work that waits', async () => {
    const { started, ends, work } = makeWork();
    const turns = new Turns({ max: 3, slowMax: 2 });
    const all = ['slow 1', 'slow 2', 'slow 3'].map((name) => turns.take(work(name), slow));
    all.push(turns.take(work('quick 1'), { signal }), turns.take(work('quick 2'), { signal }));
    expect(started).toEqual(['slow 1', 'slow 2', 'quick 1']);
    ends.get('quick 1')?.resolve();
    await everythingDone();
    expect(started.slice(3)).toEqual(['quick 2']);
    ends.get('slow 2')?.resolve();
    await everythingDone();
    expect(started.slice(4)).toEqual(['slow 3']);
    for (const { resolve } of ends.values()) resolve();
    await Promise.all(all);
  });

  test('is not passed by quick work that came later, when it may have the turn', async () => {
    const { started, ends, work } = makeWork();
    const turns = new Turns({ max: 2, slowMax: 1 });
    const all = ['quick 1', 'quick 2'].map((name) => turns.take(work(name), { signal }));
    all.push(turns.take(work('slow'), slow), turns.take(work('quick 3'), { signal }));
    ends.get('quick 1')?.resolve();
    await everythingDone();
    expect(started.at(-1)).toBe('slow');
    ends.get('quick 2')?.resolve();
    await everythingDone();
    for (const { resolve } of ends.values()) resolve();
    await Promise.all(all);
  });

  test('keeps its turn until it has ended, also when its signal is aborted', async () => {
    const { started, ends, work } = makeWork();
    const turns = new Turns({ max: 2, slowMax: 1 });
    const client = new AbortController();
    const abandoned = turns.take(work('abandoned'), { signal: client.signal, isSlow: true });
    const next = turns.take(work('next'), slow);
    client.abort(new Error('left'));
    await everythingDone();
    expect(started).toEqual(['abandoned']);
    ends.get('abandoned')?.reject(new Error('no'));
    await expect(abandoned).rejects.toThrow('no');
    await everythingDone();
    expect(started).toEqual(['abandoned', 'next']);
    ends.get('next')?.resolve();
    await next;
  });

  test('gives up its wait when its signal is aborted', async () => {
    const { started, ends, work } = makeWork();
    const turns = new Turns({ max: 2, slowMax: 1 });
    const clients = [0, 1, 2, 3].map(() => new AbortController());
    const running = turns.take(work('running'), slow);
    const waiting = clients.map((client) =>
      turns.take(work('late'), { signal: client.signal, isSlow: true }),
    );
    for (const client of clients) client.abort(new Error('late'));
    for (const work of waiting) await expect(work).rejects.toThrow('late');
    ends.get('running')?.resolve();
    await running;
    await everythingDone();
    expect(started).toEqual(['running']);
  });
});

describe('work that takes memory', () => {
  const taking = (bytes: number) => ({ signal, bytes });

  test('runs together as far as the memory goes, and lets little work pass', async () => {
    const { started, ends, work } = makeWork();
    const turns = new Turns({ max: 5, bytesMax: 100 });
    const all = [60, 40, 30].map((bytes) => turns.take(work(`of ${bytes}`), taking(bytes)));
    all.push(turns.take(work('little'), { signal }));
    expect(started).toEqual(['of 60', 'of 40', 'little']);
    ends.get('of 40')?.resolve();
    await everythingDone();
    expect(started.slice(3)).toEqual(['of 30']);
    for (const { resolve } of ends.values()) resolve();
    await Promise.all(all);
  });

  test('is not passed by work that takes less, and several start when much is free', async () => {
    const { started, ends, work } = makeWork();
    const turns = new Turns({ max: 5, bytesMax: 100 });
    const all = [90, 50, 10].map((bytes) => turns.take(work(`of ${bytes}`), taking(bytes)));
    expect(started).toEqual(['of 90']);
    ends.get('of 90')?.resolve();
    await everythingDone();
    expect(started).toEqual(['of 90', 'of 50', 'of 10']);
    for (const { resolve } of ends.values()) resolve();
    await Promise.all(all);
  });

  test('that is more than there is runs without other work of its kind', async () => {
    const { started, ends, work } = makeWork();
    const turns = new Turns({ max: 5, bytesMax: 100 });
    const all = [1000, 1].map((bytes) => turns.take(work(`of ${bytes}`), taking(bytes)));
    expect(started).toEqual(['of 1000']);
    ends.get('of 1000')?.resolve();
    await everythingDone();
    expect(started).toEqual(['of 1000', 'of 1']);
    ends.get('of 1')?.resolve();
    await Promise.all(all);
  });

  test('goes on when work before it gives up its wait for memory', async () => {
    const { started, ends, work } = makeWork();
    const turns = new Turns({ max: 5, bytesMax: 100 });
    const client = new AbortController();
    const first = turns.take(work('first'), taking(50));
    const left = turns.take(work('left'), { signal: client.signal, bytes: 60 });
    const next = turns.take(work('next'), taking(50));
    expect(started).toEqual(['first']);
    client.abort(new Error('left'));
    await expect(left).rejects.toThrow('left');
    expect(started).toEqual(['first', 'next']);
    for (const { resolve } of ends.values()) resolve();
    await Promise.all([first, next]);
  });
});
