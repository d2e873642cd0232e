import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Priority } from '../../shared/wire/priority.js';
import { makeBatcher } from '../../worker/batch/batcher.js';
import { everythingDone, passMs, runTimers, stopClock } from './clock.js';

const plain = { waitMs: 0, keyOf: () => '', rowsOf: () => 1 };

/** Makes a batcher whose runs end when the test says so. */
function makeObserved(options: { max: number; waitMs?: number }) {
  const runs: { items: string[]; end: () => void }[] = [];
  const answered: string[] = [];
  const batcher = makeBatcher<string>({
    max: options.max,
    waitMs: options.waitMs ?? 0,
    // Capital and small letters have different keys.
    keyOf: (item) => String(item === item.toUpperCase()),
    // A digit is an item of so many rows.
    rowsOf: (item) => Number(item) || 1,
    run: (items) => new Promise((resolve) => runs.push({ items, end: resolve })),
  });
  return {
    batcher,
    answered,
    batches: () => runs.map((run) => run.items.join('')),
    submit: async (items: string) => {
      for (const item of items) void batcher.submit(item).then(() => answered.push(item));
      await everythingDone();
    },
    end: async (index: number) => {
      runs[index]?.end();
      await everythingDone();
    },
  };
}

beforeEach(stopClock);

describe('an idle batcher', () => {
  test('starts the first item without waiting', async () => {
    const { submit, batches } = makeObserved({ max: 8 });
    await submit('a');
    expect(batches()).toEqual(['a']);
  });

  test('starts items submitted in the same tick as one batch', async () => {
    const { submit, batches } = makeObserved({ max: 8 });
    await submit('abc');
    expect(batches()).toEqual(['abc']);
  });
});

describe('a busy batcher', () => {
  test('gathers items, and starts them as one batch when the run is done', async () => {
    const { submit, batches, end } = makeObserved({ max: 8 });
    await submit('a');
    await submit('b');
    await submit('cd');
    expect(batches()).toEqual(['a']);
    await end(0);
    expect(batches()).toEqual(['a', 'bcd']);
  });

  test('hands over a full batch ahead, but a smaller one only when the engine is idle', async () => {
    const { submit, batches, end } = makeObserved({ max: 3 });
    await submit('a');
    await submit('bcd');
    expect(batches()).toEqual(['a', 'bcd']);
    await submit('e');
    await end(0);
    expect(batches()).toEqual(['a', 'bcd']);
    await end(1);
    expect(batches()).toEqual(['a', 'bcd', 'e']);
  });

  test('holds the next batch until a long run is about to end', async () => {
    const { submit, batches, end } = makeObserved({ max: 2 });
    await submit('a');
    await passMs(200);
    await submit('bcde');
    await end(0);
    expect(batches()).toEqual(['a', 'bc']);
    await passMs(149);
    expect(batches()).toEqual(['a', 'bc']);
    await passMs(1);
    expect(batches()).toEqual(['a', 'bc', 'de']);
  });

  test('never hands over more than two batches at a time', async () => {
    const { submit, batches, end } = makeObserved({ max: 2 });
    await submit('abcdefgh');
    expect(batches()).toEqual(['ab', 'cd']);
    await end(0);
    expect(batches()).toEqual(['ab', 'cd', 'ef']);
    await end(1);
    expect(batches()).toEqual(['ab', 'cd', 'ef', 'gh']);
  });

  test('cuts gathered items into batches of at most max, in the order of submission', async () => {
    const { submit, batches, end } = makeObserved({ max: 3 });
    await submit('abcdefg');
    await end(0);
    await end(1);
    expect(batches()).toEqual(['abc', 'def', 'g']);
  });
});

describe('a batch that is scored and not yet answered', () => {
  /** Makes a batcher whose batches are scored, and then answered, when the test says so. */
  function makeAnswering(max: number) {
    const runs: { items: string[]; score: () => void; answer: () => void }[] = [];
    const batcher = makeBatcher<string>({
      max,
      ...plain,
      run: (items, _priority, score) =>
        new Promise((answer) => runs.push({ items, score, answer })),
    });
    const answered: string[] = [];
    return {
      batcher,
      answered,
      batches: () => runs.map(({ items }) => items.join('')),
      submit: async (items: string, priority?: Priority) => {
        for (const item of items)
          void batcher.submit(item, priority).then(() => answered.push(item));
        await everythingDone();
      },
      score: (at: number) => runs[at]?.score(),
      answer: async (at: number) => {
        runs[at]?.answer();
        await everythingDone();
      },
    };
  }

  test('lets a full one start', async () => {
    const { submit, batches, score, answered, answer } = makeAnswering(2);
    await submit('ab');
    await submit('cdef');
    expect(batches()).toEqual(['ab', 'cd']);
    score(0);
    expect(batches()).toEqual(['ab', 'cd', 'ef']);
    expect(answered).toEqual([]);
    await answer(0);
    expect(answered).toEqual(['a', 'b']);
  });

  test('lets a smaller one gather after a short run', async () => {
    const { batcher, submit, batches, score, answer } = makeAnswering(4);
    await submit('a');
    await submit('b');
    score(0);
    await submit('c');
    expect(batches()).toEqual(['a']);
    expect(batcher.size).toBe(3);
    await answer(0);
    expect(batches()).toEqual(['a', 'bc']);
  });

  test('lets a smaller one start after a long run', async () => {
    const { submit, batches, score } = makeAnswering(4);
    await submit('a');
    await passMs(10);
    await submit('b');
    score(0);
    expect(batches()).toEqual(['a', 'b']);
  });

  test('of bulk keeps the next one of bulk waiting beside interactive items, and no interactive one', async () => {
    const { submit, batches, score, answer } = makeAnswering(1);
    await submit('x');
    score(0);
    await answer(0);
    await submit('ab', 'bulk');
    score(1);
    expect(batches()).toEqual(['x', 'a']);
    await submit('y');
    expect(batches()).toEqual(['x', 'a', 'y']);
    score(2);
    await answer(2);
    expect(batches()).toEqual(['x', 'a', 'y']);
    await answer(1);
    await passMs(50);
    expect(batches()).toEqual(['x', 'a', 'y', 'b']);
  });

  test('of bulk lets the next one of bulk start if there are no interactive items', async () => {
    const { submit, batches, score } = makeAnswering(2);
    await submit('abcd', 'bulk');
    score(0);
    expect(batches()).toEqual(['ab', 'cd']);
  });

  test('is scored once, however often that is said', async () => {
    const { submit, batches, score, answer } = makeAnswering(2);
    await submit('ab');
    await submit('cd');
    await submit('efgh');
    score(0);
    score(0);
    expect(batches()).toEqual(['ab', 'cd', 'ef']);
    await answer(0);
    expect(batches()).toEqual(['ab', 'cd', 'ef']);
  });
});

describe('with waitMs', () => {
  test('a batch that is not full starts waitMs after its first item', async () => {
    const { submit, batches } = makeObserved({ max: 8, waitMs: 10 });
    await submit('a');
    await passMs(6);
    await submit('b');
    await passMs(3);
    expect(batches()).toEqual([]);
    await passMs(1);
    expect(batches()).toEqual(['ab']);
  });

  test('a full batch does not wait', async () => {
    const { submit, batches } = makeObserved({ max: 2, waitMs: 10 });
    await submit('a');
    await submit('b');
    expect(batches()).toEqual(['ab']);
  });

  test('a timer that a full batch made needless does not start the next batch', async () => {
    const { submit, batches } = makeObserved({ max: 2, waitMs: 10 });
    await submit('a');
    await submit('bc');
    await passMs(50);
    expect(batches()).toEqual(['ab']);
  });
});

describe('items of different keys', () => {
  test('go into different batches, each in the order of submission', async () => {
    const { submit, batches, end } = makeObserved({ max: 4 });
    await submit('aBcDe');
    expect(batches()).toEqual(['ace']);
    await end(0);
    expect(batches()).toEqual(['ace', 'BD']);
  });

  test('are not kept waiting by a key whose batches are always full', async () => {
    const { submit, batches, end } = makeObserved({ max: 2 });
    await submit('abXcdef');
    expect(batches()).toEqual(['ab']);
    await submit('gh');
    await end(0);
    // The single item is next when the engine is idle. A full batch follows it ahead.
    expect(batches()).toEqual(['ab', 'X', 'cd']);
    await end(1);
    expect(batches()).toEqual(['ab', 'X', 'cd', 'ef']);
  });

  test('start first if they fill a batch while another key waits for waitMs', async () => {
    const { submit, batches, end } = makeObserved({ max: 2, waitMs: 10 });
    await submit('A');
    await passMs(5);
    await submit('bc');
    expect(batches()).toEqual(['bc']);
    await end(0);
    await passMs(5);
    expect(batches()).toEqual(['bc', 'A']);
  });
});

test('a failing run fails the items of its batch, and the next batch starts', async () => {
  const failed: string[] = [];
  let runs = 0;
  const batcher = makeBatcher<string>({
    max: 2,
    ...plain,
    run: async () => {
      if (++runs === 1) throw new Error('The engine has ended.');
    },
  });
  const submit = (item: string) => batcher.submit(item).catch(() => failed.push(item));
  await Promise.all(['a', 'b', 'c'].map(submit));
  expect(failed).toEqual(['a', 'b']);
  expect(runs).toBe(2);
  expect(batcher.size).toBe(0);
});

describe('items of several rows', () => {
  test('fill a batch by their rows', async () => {
    const { submit, batches } = makeObserved({ max: 8 });
    await submit('53');
    await submit('8');
    expect(batches()).toEqual(['53', '8']);
  });

  test('that do not fit are overtaken by smaller ones, but go first in the next batch', async () => {
    const { submit, batches, end } = makeObserved({ max: 8 });
    await submit('5412');
    expect(batches()).toEqual(['512']);
    await submit('3');
    await end(0);
    expect(batches()).toEqual(['512', '43']);
  });

  test('that are more than a batch run alone', async () => {
    const { submit, batches } = makeObserved({ max: 4 });
    await submit('192');
    expect(batches()).toEqual(['12', '9']);
  });
});

test('each item is done after its own batch', async () => {
  const { submit, answered, end } = makeObserved({ max: 2 });
  await submit('abcd');
  expect(answered).toEqual([]);
  await end(1);
  expect(answered).toEqual(['c', 'd']);
  await end(0);
  expect(answered).toEqual(['c', 'd', 'a', 'b']);
});

test('size counts waiting and running items', async () => {
  const { batcher, submit, end } = makeObserved({ max: 2 });
  await submit('abcde');
  expect(batcher.size).toBe(5);
  await end(0);
  expect(batcher.size).toBe(3);
  await end(1);
  await end(2);
  expect(batcher.size).toBe(0);
});

const load = fc.record({
  instances: fc.integer({ min: 1, max: 3 }),
  max: fc.integer({ min: 1, max: 5 }),
  waitMs: fc.constantFrom(0, 0, 7),
  arrivals: fc.array(
    fc.record({
      afterMs: fc.integer({ min: 0, max: 12 }),
      items: fc.array(
        fc.record({
          key: fc.constantFrom('a', 'a', 'a', 'b', 'c'),
          rows: fc.constantFrom(1, 1, 1, 2, 3, 6),
        }),
        { minLength: 1, maxLength: 7 },
      ),
    }),
    { minLength: 1, maxLength: 15 },
  ),
  durationsMs: fc.array(fc.integer({ min: 0, max: 30 }), { minLength: 1, maxLength: 20 }),
  answeringMs: fc.integer({ min: 0, max: 8 }),
});

interface Submitted {
  readonly number: number;
  readonly key: string;
  readonly rows: number;
}

test('for any load, no batch is too large, mixed, too early, out of order or forgotten', async () => {
  await fc.assert(
    fc.asyncProperty(
      load,
      async ({ instances, max, waitMs, arrivals, durationsMs, answeringMs }) => {
        const all: Submitted[] = [];
        const started: Submitted[] = [];
        const ended = new Set<Submitted>();
        const answers: number[] = [];
        let running = 0;
        let answering = 0;
        let runs = 0;
        let submitted = 0;

        const batcher = makeBatcher<Submitted>({
          max,
          instances,
          waitMs,
          keyOf: ({ key }) => key,
          rowsOf: ({ rows }) => rows,
          run: async (items, _priority, onScored) => {
            expect(items.length).toBeGreaterThan(0);
            const rows = items.reduce((sum, item) => sum + item.rows, 0);
            if (items.length > 1) expect(rows).toBeLessThanOrEqual(max);
            expect(new Set(items.map(({ key }) => key)).size).toBe(1);
            // Only one batch may be handed over behind a running one, unless there are several instances, and it must
            // be full: no item of its key that waits would fit.
            const waits = all.filter(
              (item) => item.key === items[0]?.key && !started.includes(item),
            );
            const others = waits.filter((item) => !items.includes(item));
            const isFull =
              rows >= max || (others.length > 0 && others.every((item) => rows + item.rows > max));
            if (running > 0 && instances === 1) expect(isFull).toBe(true);
            expect(++running).toBeLessThanOrEqual(Math.max(2, instances));
            started.push(...items);
            const durationMs = durationsMs[runs++ % durationsMs.length];
            await new Promise((resolve) => setTimeout(resolve, durationMs));
            running--;
            answering++;
            onScored();
            await new Promise((resolve) => setTimeout(resolve, answeringMs));
            answering--;
            for (const item of items) ended.add(item);
          },
        });
        const submit = ({ key, rows }: { key: string; rows: number }) => {
          const item = { number: submitted++, key, rows };
          all.push(item);
          void batcher.submit(item).then(() => {
            expect(ended).toContain(item);
            answers.push(item.number);
          });
        };

        let atMs = 0;
        for (const { afterMs, items } of arrivals) {
          atMs += afterMs;
          setTimeout(() => items.forEach(submit), atMs);
        }
        await runTimers(() => {
          const waiting = submitted - started.length;
          expect(batcher.size).toBe(submitted - ended.size);
          if (waiting > 0 && waitMs === 0) expect(running + answering).toBeGreaterThan(0);
        });

        for (const group of Object.values(groupBySize(started))) {
          expect(group).toEqual(group.toSorted((a, b) => a - b));
        }
        expect(answers.toSorted((a, b) => a - b)).toEqual(all.map(({ number }) => number));
        expect(batcher.size).toBe(0);
      },
    ),
    { numRuns: 200 },
  );
});

/** The numbers of items, by key and size. */
function groupBySize(items: readonly Submitted[]): Record<string, number[]> {
  const groups: Record<string, number[]> = {};
  for (const { key, rows, number } of items) {
    const name = `${key}${rows}`;
    groups[name] = [...(groups[name] ?? []), number];
  }
  return groups;
}

test('a key waits for at most one batch of each other key', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 1, maxLength: 40 }),
      fc.integer({ min: 1, max: 3 }),
      async (keys, max) => {
        const turns: string[] = [];
        const batcher = makeBatcher<string>({
          max,
          waitMs: 0,
          keyOf: (key) => key,
          rowsOf: () => 1,
          run: async ([key]) => {
            turns.push(key as string);
            await new Promise((resolve) => setTimeout(resolve, 5));
          },
        });
        for (const key of keys) void batcher.submit(key);
        await runTimers();
        const left = new Map<string, number>();
        for (const key of turns) left.set(key, (left.get(key) ?? 0) + 1);
        // In each round, each key that still has items gets one batch.
        for (let at = 0; at < turns.length; ) {
          const round = [...left].filter(([, batches]) => batches > 0).map(([key]) => key);
          expect(new Set(turns.slice(at, at + round.length))).toEqual(new Set(round));
          for (const key of round) left.set(key, (left.get(key) as number) - 1);
          at += round.length;
        }
      },
    ),
    { numRuns: 200 },
  );
});

describe('bulk', () => {
  /** Makes a batcher of small letters, which are interactive, and capital ones, which are bulk. */
  function makePrioritised({ max = 2, durationMs = 10, rowMs = 0 } = {}) {
    const started: string[] = [];
    const startedAt: number[] = [];
    const openedAt = performance.now();
    let running = 0;
    let most = 0;
    const batcher = makeBatcher<string>({
      max,
      ...plain,
      run: async (items) => {
        started.push(items.join(''));
        startedAt.push(performance.now() - openedAt);
        most = Math.max(most, ++running);
        const ms = durationMs + rowMs * items.length;
        await new Promise((resolve) => setTimeout(resolve, ms));
        running--;
      },
    });
    const submit = (items: string) => {
      for (const item of items) {
        void batcher.submit(item, item === item.toLowerCase() ? 'interactive' : 'bulk');
      }
    };
    return { started, startedAt, submit, mostRunning: () => most };
  }

  test('delays an interactive item by the run of one batch at most', async () => {
    const { started, submit } = makePrioritised();
    submit('ABCDEFGH');
    await passMs(15);
    submit('a');
    await runTimers();
    expect(started).toEqual(['AB', 'CD', 'a', 'EF', 'GH']);
  });

  test('has smaller batches, and a pause after each, once an interactive item came', async () => {
    const { started, startedAt, submit } = makePrioritised({ max: 8, durationMs: 0, rowMs: 10 });
    submit('A'.repeat(24));
    await passMs(5);
    submit('a');
    await passMs(130);
    expect(started.join(' ')).toBe('AAAAAAAA a A A');
    // Each pause takes 20 ms.
    expect(startedAt).toEqual([0, 80, 100, 130]);
  });

  test('has full batches again once none has come for long', async () => {
    const { started, submit } = makePrioritised({ max: 8, durationMs: 0, rowMs: 10 });
    submit('aA');
    await passMs(10_100);
    submit('A'.repeat(24));
    await runTimers();
    expect(started.slice(2)).toEqual(['A'.repeat(8), 'A'.repeat(8), 'A'.repeat(8)]);
  });

  test('is not handed over ahead, as a full interactive batch is', async () => {
    const bulk = makePrioritised();
    bulk.submit('ABCDEFGH');
    const interactive = makePrioritised();
    interactive.submit('abcdefgh');
    await runTimers();
    expect([bulk.mostRunning(), interactive.mostRunning()]).toEqual([1, 2]);
  });

  test('shares no batch with interactive items', async () => {
    const { started, submit } = makePrioritised({ max: 8 });
    submit('aBcD');
    await runTimers();
    expect(started).toEqual(['ac', 'BD']);
  });

  test('gets each tenth batch while both wait, so it is not starved', async () => {
    const { started, submit } = makePrioritised({ max: 1 });
    submit('ABC');
    submit('x'.repeat(40));
    await runTimers();
    const turns = started.map((batch) => (batch === 'x' ? '.' : batch)).join('');
    expect(turns).toBe('.........A.........B.........C.............');
  });

  test('that comes late does not get its turn for batches before it', async () => {
    const { started, submit } = makePrioritised({ max: 1 });
    submit('x'.repeat(60));
    await passMs(155);
    const before = started.length;
    submit('A');
    await runTimers();
    // One batch is with the engine ahead.
    expect(started.indexOf('A') - before).toBeGreaterThanOrEqual(9);
  });
});

describe('several instances', () => {
  /** Small letters are interactive, capital ones bulk. Digits are interactive, and each has a key of its own. */
  function makeInstances(instances: number, { max = 2, durationMs = 100 } = {}) {
    const started: string[] = [];
    let running = 0;
    const batcher = makeBatcher<string>({
      max,
      instances,
      waitMs: 0,
      keyOf: (item) => (/\d/.test(item) ? item : ''),
      rowsOf: () => 1,
      run: async (items) => {
        started.push(items.join(''));
        expect(++running).toBeLessThanOrEqual(instances);
        await new Promise((resolve) => setTimeout(resolve, durationMs));
        running--;
      },
    });
    const submit = (items: string) =>
      Promise.all(
        Array.from(items, (item) =>
          batcher.submit(item, /[A-Z]/.test(item) ? 'bulk' : 'interactive'),
        ),
      );
    /** Lets the batcher see how long a run takes. */
    const settle = async () => {
      void submit('z');
      await runTimers();
      started.length = 0;
    };
    return { started, submit, settle };
  }

  test('run full batches side by side', async () => {
    const { started, submit, settle } = makeInstances(3);
    await settle();
    void submit('abcdefgh');
    await passMs(0);
    expect(started).toEqual(['ab', 'cd', 'ef']);
    await runTimers();
    expect(started).toEqual(['ab', 'cd', 'ef', 'gh']);
  });

  test('let a smaller batch start beside others once it has waited as long as a run takes', async () => {
    const { started, submit, settle } = makeInstances(3);
    await settle();
    void submit('ab');
    await passMs(90);
    void submit('c');
    await passMs(5);
    void submit('de');
    await passMs(90);
    // The run of ab is over, and cd runs.
    expect(started).toEqual(['ab', 'cd']);
    await passMs(10);
    expect(started).toEqual(['ab', 'cd', 'e']);
  });

  test('let full batches overtake smaller ones, which start soon all the same', async () => {
    const { started, submit, settle } = makeInstances(2);
    await settle();
    void submit('ab1cd');
    await passMs(0);
    expect(started).toEqual(['ab', 'cd']);
    void submit('efghij2');
    await passMs(101);
    // Both keys have waited for one run.
    expect(started.slice(2)).toEqual(['1', 'ef']);
    await passMs(100);
    expect(started.slice(4)).toEqual(['2', 'gh']);
    await runTimers();
    expect(started.slice(6)).toEqual(['ij']);
  });

  test('all run bulk if no interactive item has come for a while', async () => {
    const { started, submit } = makeInstances(2);
    void submit('ABCD');
    await passMs(0);
    expect(started).toEqual(['AB', 'CD']);
    void submit('ab');
    await passMs(101);
    expect(started).toEqual(['AB', 'CD', 'ab']);
  });

  test('run one batch of bulk beside interactive ones, and let those start beside it', async () => {
    const { started, submit, settle } = makeInstances(2);
    await settle();
    void submit('ABCD');
    await passMs(20);
    // After an interactive batch, bulk has small ones, and one at a time.
    expect(started).toHaveLength(1);
    void submit('a');
    await passMs(0);
    expect(started).toHaveLength(2);
    expect(started[1]).toBe('a');
    await runTimers();
    expect(started.slice(2).join('')).toBe('ABCD'.slice(started[0]?.length));
  });

  test('are not drained for the turn of bulk', async () => {
    const { started, submit, settle } = makeInstances(2, { max: 1 });
    await settle();
    const startedAt = performance.now();
    void submit('AB');
    void submit('x'.repeat(38));
    await runTimers();
    expect(started).toHaveLength(40);
    expect(started.indexOf('A')).toBe(9);
    // Forty runs, two at a time.
    expect(performance.now() - startedAt).toBeLessThan(20 * 100 + 50);
  });
});

test('bulk is answered however long interactive items go on', async () => {
  let isAnswered = false;
  let answered = 0;
  const batcher = makeBatcher<string>({
    max: 1,
    ...plain,
    run: () => new Promise((resolve) => setTimeout(resolve, 5)),
  });
  // Each client sends its next item when it has its answer, so some always wait.
  const client = async () => {
    while (!isAnswered && answered < 1000) {
      await batcher.submit('interactive');
      answered++;
    }
  };
  for (let each = 0; each < 4; each++) void client();
  void batcher.submit('bulk', 'bulk').then(() => {
    isAnswered = true;
  });
  await runTimers();
  expect(isAnswered).toBe(true);
  expect(answered).toBeLessThan(20);
});
