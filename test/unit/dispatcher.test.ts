import { beforeEach, describe, expect, test } from 'vitest';
import { makeDispatcher, type PreparedInput, type Submission } from '../../api/queue/dispatcher.js';
import { makeReplies } from '../../api/queue/waiters.js';
import { nowMs } from '../../shared/clock.js';
import { ScorelineError } from '../../shared/errors.js';
import type { BatchJob, Timing } from '../../shared/wire.js';
import { everythingDone, passMs, stopClock } from './clock.js';
import { makeSampleModel } from './sample-model.js';

interface Added {
  readonly queue: string;
  readonly job: BatchJob;
  readonly payload: ReadonlyMap<string, Buffer>;
  resolve(): void;
  reject(error: Error): void;
}

const ofA = Uint8Array.of(1);
const timing: Timing = { queueMs: 1, batchMs: 0, computeMs: 100, batchSize: 1 };
const unavailable = () => new ScorelineError('queue_unavailable', 'Redis is away.');

/** A dispatcher before a queue whose every `add` the test ends. */
function makeObserved({ lingerMs = 0 } = {}) {
  const added: Added[] = [];
  const cancelled: { queue: string; itemId: string; deadlineAt: number }[] = [];
  const replies = makeReplies({ isQueueAway: () => false });
  const dispatcher = makeDispatcher({
    lingerMs,
    instance: 'api-1',
    replies,
    queue: {
      add: (queue, job, payload) =>
        new Promise((resolve, reject) => added.push({ queue, job, payload, resolve, reject })),
      cancel: async (queue, itemId, deadlineAt) => {
        cancelled.push({ queue, itemId, deadlineAt });
      },
    },
  });

  return {
    added,
    cancelled,
    replies,
    submit(
      input: string | PreparedInput,
      { model = small, deadlineAt = nowMs() + 1000, keep }: Partial<Submission> = {},
    ) {
      const prepared = typeof input === 'string' ? { text: input } : input;
      const ticket = dispatcher.submit({ model, input: prepared, top: 2, deadlineAt, keep });
      const outcome = ticket.reply.then(
        (reply) => reply.scores,
        (error: ScorelineError) => error.code,
      );
      return { ...ticket, outcome };
    },
    /** The texts of each job, in the order of the adds. */
    jobs: () => added.map(({ job }) => job.items.map((item) => item.text).join('')),
    /** Answers every item of a job, which has taken so long. */
    answer: async (index: number, taken: Partial<Timing> = {}) => {
      for (const { id } of added[index]?.job.items ?? []) {
        replies.settle({ id, scores: new Uint8Array(), timing: { ...timing, ...taken } });
      }
      await everythingDone();
    },
    end: async (index: number, error?: Error) => {
      if (error) added[index]?.reject(error);
      else added[index]?.resolve();
      await everythingDone();
    },
  };
}

const small = makeSampleModel({ batch: { max: 3 } });

beforeEach(stopClock);

describe('a lane', () => {
  test('sends at once when it is idle', () => {
    const { submit, jobs } = makeObserved();
    submit('a');
    expect(jobs()).toEqual(['a']);
  });

  test('gathers what comes while an add is in flight into the next job', async () => {
    const { submit, jobs, end } = makeObserved();
    for (const text of 'abc') submit(text);
    await everythingDone();
    expect(jobs()).toEqual(['a']);
    await end(0);
    expect(jobs()).toEqual(['a', 'bc']);
  });

  test('has one add in flight, and puts at most batch.max items into a job, in order', async () => {
    const { submit, jobs, end } = makeObserved();
    for (const text of 'abcdefgh') submit(text);
    await end(0);
    expect(jobs()).toEqual(['a', 'bcd']);
    await end(1);
    expect(jobs()).toEqual(['a', 'bcd', 'efg']);
    await end(2);
    expect(jobs()).toEqual(['a', 'bcd', 'efg', 'h']);
  });

  test('is idle again when everything was sent', async () => {
    const { submit, jobs, end } = makeObserved();
    submit('a');
    await end(0);
    submit('b');
    expect(jobs()).toEqual(['a', 'b']);
  });

  test('is no other model’s: each has its own jobs and its own add in flight', async () => {
    const { submit, added, end, jobs } = makeObserved();
    const other = makeSampleModel({ name: 'other' });
    submit('a');
    submit('A', { model: other });
    submit('b');
    submit('B', { model: other });
    expect(jobs()).toEqual(['a', 'A']);
    await end(1);
    expect(jobs()).toEqual(['a', 'A', 'B']);
    await end(0);
    expect(jobs()).toEqual(['a', 'A', 'B', 'b']);
    expect(added.map(({ queue }) => queue)).toEqual(['sample@1', 'other@1', 'other@1', 'sample@1']);
  });

  test('is no other version’s either', () => {
    const { submit, added } = makeObserved();
    submit('a');
    submit('b', { model: makeSampleModel({ version: 2 }) });
    expect(added.map(({ queue }) => queue)).toEqual(['sample@1', 'sample@2']);
  });

  test('goes on after a failed add, which fails its own items and those that came meanwhile', async () => {
    const { submit, jobs, end, replies } = makeObserved();
    const [a, b, c] = [submit('a'), submit('b'), submit('c')];
    await end(0);
    const d = submit('d');
    await end(1, unavailable());
    expect(await b.outcome).toBe('queue_unavailable');
    expect(await c.outcome).toBe('queue_unavailable');
    expect(await d.outcome).toBe('queue_unavailable');
    const e = submit('e');
    expect(jobs()).toEqual(['a', 'bc', 'e']);
    expect(replies.isExpected(a.id)).toBe(true);
    expect(replies.isExpected(e.id)).toBe(true);
    expect(replies.size).toBe(2);
  });
});

describe('a lane with two jobs unanswered', () => {
  /** Two jobs, `a` and `b`, are in the queue. */
  const makeBusy = async () => {
    const observed = makeObserved({ lingerMs: 6 });
    for (const [index, text] of ['a', 'b'].entries()) {
      observed.submit(text);
      await observed.end(index);
    }
    return observed;
  };

  test('gathers until one of them is answered', async () => {
    const { submit, jobs, answer } = await makeBusy();
    for (const text of 'cd') submit(text);
    await passMs(5);
    expect(jobs()).toEqual(['a', 'b']);
    await answer(1);
    expect(jobs()).toEqual(['a', 'b', 'cd']);
  });

  test('gathers no longer than it may', async () => {
    const { submit, jobs } = await makeBusy();
    submit('c');
    await passMs(6);
    expect(jobs()).toEqual(['a', 'b', 'c']);
  });

  test.each([
    { queueMs: 50, gatheredMs: 6 },
    { queueMs: 1000, gatheredMs: 100 },
    { queueMs: 60_000, gatheredMs: 250 },
  ])(
    'gathers for $gatheredMs ms where items wait for $queueMs ms',
    async ({ queueMs, gatheredMs }) => {
      const { submit, jobs, end, answer } = await makeBusy();
      await answer(0, { queueMs });
      submit('c');
      await end(2);
      submit('d');
      await passMs(gatheredMs - 1);
      expect(jobs()).toEqual(['a', 'b', 'c']);
      submit('e');
      await passMs(1);
      expect(jobs()).toEqual(['a', 'b', 'c', 'de']);
    },
  );

  test('gathers no more than a job holds', async () => {
    const { submit, jobs } = await makeBusy();
    for (const text of 'cde') submit(text);
    await everythingDone();
    expect(jobs()).toEqual(['a', 'b', 'cde']);
  });

  test('sends at once when one of them has failed', async () => {
    const { submit, jobs, end } = makeObserved({ lingerMs: 6 });
    submit('a');
    await end(0, unavailable());
    submit('b');
    await end(1);
    submit('c');
    expect(jobs()).toEqual(['a', 'b', 'c']);
  });
});

describe('a job', () => {
  test.each([
    { computeMs: 100, batches: 1 },
    { computeMs: 11, batches: 1 },
    { computeMs: 10, batches: 2 },
    { computeMs: 0.1, batches: 8 },
  ])('holds $batches batches where one takes $computeMs ms', async ({ computeMs, batches }) => {
    const { submit, added, end, answer } = makeObserved();
    submit('a');
    await end(0);
    await answer(0, { computeMs });
    for (let item = 0; item < 30; item++) submit('b');
    await end(1);
    expect(added[2]?.job.items).toHaveLength(batches * 3);
  });

  test('says who is to be answered, and of each item its id, times, top and text', () => {
    const { submit, added } = makeObserved();
    const submittedAt = nowMs();
    const { id } = submit('hello', { deadlineAt: submittedAt + 700 });
    expect(added[0]?.job).toEqual({
      replyTo: 'api-1',
      items: [{ id, submittedAt, deadlineAt: submittedAt + 700, top: 2, text: 'hello' }],
    });
    expect(added[0]?.payload.size).toBe(0);
  });

  test('says of an item that is kept its given id, and for how long', async () => {
    const { submit, added, replies } = makeObserved();
    const { id, outcome } = submit('hello', { keep: { id: 'given', keepMs: 500 } });
    expect(id).toBe('given');
    expect(added[0]?.job.items[0]).toMatchObject({ id: 'given', keepMs: 500, text: 'hello' });
    replies.settle({ id, scores: ofA, timing });
    expect(await outcome).toBe(ofA);
  });

  test('carries binary inputs beside it by item id, and not inside', async () => {
    const { submit, added, end } = makeObserved();
    submit('first');
    const [one, two] = [Buffer.from([1, 2]), Buffer.from([3])];
    const a = submit({ bytes: one });
    const b = submit({ bytes: two });
    await end(0);
    expect([...(added[1]?.payload ?? [])]).toEqual([
      [a.id, one],
      [b.id, two],
    ]);
    for (const item of added[1]?.job.items ?? []) {
      expect(Object.keys(item).toSorted()).toEqual(['deadlineAt', 'id', 'submittedAt', 'top']);
    }
  });

  test('holds at most 32 MiB of binary input', async () => {
    const { submit, added, end } = makeObserved();
    const mebibytes = (count: number) => ({ bytes: Buffer.allocUnsafe(count * 1024 * 1024) });
    submit('first');
    const sizes = [16, 16, 20, 12.5, 1];
    const tickets = sizes.map((size) => submit(mebibytes(size)));
    for (let index = 0; index < 4; index++) await end(index);
    const sent = added.slice(1).map(({ job }) => job.items.map((item) => item.id));
    const [a, b, c, d, e] = tickets.map((ticket) => ticket.id);
    expect(sent).toEqual([[a, b], [c], [d, e]]);
  });

  test('holds an input alone that is larger than the limit by itself', async () => {
    const { submit, added, end } = makeObserved();
    submit('first');
    submit({ bytes: Buffer.allocUnsafe(33 * 1024 * 1024) });
    submit({ bytes: Buffer.allocUnsafe(1) });
    await end(0);
    await end(1);
    expect(added.slice(1).map(({ payload }) => payload.size)).toEqual([1, 1]);
  });
});

describe('a ticket', () => {
  test('gets a reply that comes before add resolves', async () => {
    const { submit, replies, end } = makeObserved();
    const { id, outcome } = submit('a');
    expect(replies.settle({ id, scores: ofA, timing })).toBe(true);
    expect(await outcome).toBe(ofA);
    await end(0);
    expect(replies.size).toBe(0);
  });

  test('keeps the reply when add fails afterwards', async () => {
    const { submit, replies, end } = makeObserved();
    const { id, outcome } = submit('a');
    replies.settle({ id, scores: ofA, timing });
    await end(0, unavailable());
    expect(await outcome).toBe(ofA);
  });

  test('ends at its deadline, and a late reply finds nobody', async () => {
    const { submit, replies, end } = makeObserved();
    const { id, outcome } = submit('a', { deadlineAt: nowMs() + 50 });
    await end(0);
    await passMs(50);
    expect(await outcome).toBe('deadline_exceeded');
    expect(replies.settle({ id, scores: new Uint8Array(), timing })).toBe(false);
  });

  test('whose deadline passes before it is sent is in no job', async () => {
    const { submit, jobs, end } = makeObserved();
    submit('a');
    const late = submit('b', { deadlineAt: nowMs() + 50 });
    submit('c');
    await passMs(50);
    expect(await late.outcome).toBe('deadline_exceeded');
    await end(0);
    expect(jobs()).toEqual(['a', 'c']);
  });

  test('that is cancelled before it is sent is in no job', async () => {
    const { submit, jobs, end } = makeObserved();
    submit('a');
    const [b, c] = [submit('b'), submit('c')];
    b.cancel();
    await end(0);
    expect(await b.outcome).toBe('client_closed');
    expect(jobs()).toEqual(['a', 'c']);
    c.cancel();
    expect(await c.outcome).toBe('client_closed');
  });

  test('makes no job when all that would be in it were cancelled', async () => {
    const { submit, jobs, end } = makeObserved();
    submit('a');
    for (const ticket of [submit('b'), submit('c')]) {
      ticket.cancel();
      await ticket.outcome;
    }
    await end(0);
    submit('d');
    expect(jobs()).toEqual(['a', 'd']);
  });

  test('that is cancelled after it was sent is marked in the queue, once', async () => {
    const { submit, cancelled, replies, end } = makeObserved();
    const deadlineAt = nowMs() + 500;
    const { id, cancel, outcome } = submit('a', { deadlineAt });
    await end(0);
    cancel();
    cancel();
    expect(await outcome).toBe('client_closed');
    expect(cancelled).toEqual([{ queue: 'sample@1', itemId: id, deadlineAt }]);
    expect(replies.size).toBe(0);
  });

  test('that is cancelled after its answer is not marked', async () => {
    const { submit, cancelled, replies, end } = makeObserved();
    const { id, cancel, outcome } = submit('a');
    await end(0);
    replies.settle({ id, scores: new Uint8Array(), timing });
    cancel();
    expect(await outcome).toEqual(new Uint8Array());
    expect(cancelled).toEqual([]);
  });
});
