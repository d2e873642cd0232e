import { randomUUID } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { beforeEach, describe, expect, test } from 'vitest';
import { clientClosed } from '../../api/call/call.js';
import { Ending } from '../../api/call/ending.js';
import { Dispatcher, type Submission } from '../../api/queue/dispatcher.js';
import { makeWaiters } from '../../api/queue/waiters.js';
import { nowMs } from '../../shared/clock.js';
import { ScorelineError } from '../../shared/errors.js';
import { largeBytes } from '../../shared/redis/redis.js';
import { decodeStrings, encodeStrings, type Tensor } from '../../shared/tensors/tensors.js';
import type { BatchJob, Item } from '../../shared/wire/job.js';
import type { Timing } from '../../shared/wire/reply.js';
import { everythingDone, passMs, stopClock } from './clock.js';
import { makeSampleModel } from './sample-model.js';

interface Added {
  readonly queue: string;
  readonly job: BatchJob;
  resolve(): void;
  reject(error: Error): void;
}

const timing: Timing = { queueMs: 1, batchMs: 0, computeMs: 100, batchSize: 1 };
const unavailable = () => new ScorelineError('queue_unavailable', 'Redis is away.');

/** Makes an input of one text. The tests recognise items in a job by their texts. */
const textInput = (text: string): Tensor[] => [
  { name: 'input', datatype: 'BYTES', shape: [1], data: encodeStrings([text]) },
];
const textOf = ({ inputs }: Item) => decodeStrings((inputs[0] as Tensor).data).join();

function endedEnding(): Ending {
  const ending = new Ending();
  ending.end(clientClosed());
  return ending;
}

interface Asked extends Partial<Omit<Submission, 'items'>> {
  readonly id?: string;
  readonly inputs?: readonly Tensor[];
}

/** Opens a dispatcher with a queue whose `add` calls the test settles. */
function makeObserved({ lingerMs = 0 } = {}) {
  const added: Added[] = [];
  const cancelled: { queue: string; itemId: string; deadlineAt: number }[] = [];
  const waiters = makeWaiters();
  const dispatcher = new Dispatcher({
    lingerMs,
    instance: 'api-1',
    waiters,
    queue: {
      add: (queue, job) =>
        new Promise<void>((resolve, reject) => added.push({ queue, job, resolve, reject })),
      cancel: async (queue, itemId, deadlineAt) => {
        cancelled.push({ queue, itemId, deadlineAt });
      },
    },
  });

  /** Submits items with a shared ending. `abort` ends their wait. */
  const submitAll = (texts: readonly string[], asked: Asked = {}) => {
    const { id, inputs, ...changes } = asked;
    const ending = new Ending();
    const ids = texts.map((_, index) => (index === 0 && id ? id : randomUUID()));
    const items = texts.map((text, index) => ({
      id: ids[index] as string,
      inputs: inputs ?? textInput(text),
    }));
    const outcomes = dispatcher
      .submit({
        model: small,
        priority: 'interactive',
        top: 2,
        deadlineAt: nowMs() + 1000,
        ending,
        items,
        ...changes,
      })
      .map((reply) => reply.then(({ timing }) => timing.batchSize, codeOf));
    return {
      ids,
      outcomes,
      abort: (reason = clientClosed()) => ending.end(reason),
      ending,
    };
  };

  return {
    dispatcher,
    added,
    cancelled,
    waiters,
    submitAll,
    submit(text: string, asked?: Asked) {
      const { ids, outcomes, ...rest } = submitAll([text], asked);
      return { id: ids[0] as string, outcome: outcomes[0] as Promise<unknown>, ...rest };
    },
    /** The texts of each job, in the order of the `add` calls. */
    jobs: () => added.map(({ job }) => job.items.map(textOf).join('')),
    reply: (id: string, more: { isKept?: boolean; timing?: Partial<Timing> } = {}) =>
      waiters.settle({ id, outputs: [], ...more, timing: { ...timing, ...more.timing } }),
    /** Answers every item of a job, with these times. */
    answer: async (index: number, taken: Partial<Timing> = {}, isKept = false) => {
      for (const { id } of added[index]?.job.items ?? []) {
        waiters.settle({ id, outputs: [], timing: { ...timing, ...taken }, isKept });
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

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const codeOf = (error: ScorelineError) => error.code;

const small = makeSampleModel({ batch: { max: 3 } });

beforeEach(stopClock);

describe('a lane', () => {
  test('of small items does not wait for a large one, nor fail with it', async () => {
    const { submit, added, end, answer } = makeObserved();
    const large = submit('', { inputs: textInput('x'.repeat(largeBytes)) });
    const first = submit('a');
    const next = submit('b');
    expect(added).toHaveLength(2);
    await end(0, unavailable());
    expect(await large.outcome).toBe('queue_unavailable');
    await end(1);
    await answer(1);
    await answer(2);
    expect(await Promise.all([first.outcome, next.outcome])).toEqual([1, 1]);
  });

  test('sends at once when it is idle', () => {
    const { submit, jobs } = makeObserved();
    submit('a');
    expect(jobs()).toEqual(['a']);
  });

  test('puts items that arrive during an add into the next job', async () => {
    const { submit, jobs, end } = makeObserved();
    for (const text of 'abc') submit(text);
    await everythingDone();
    expect(jobs()).toEqual(['a']);
    await end(0);
    expect(jobs()).toEqual(['a', 'bc']);
  });

  test('has one add in flight at a time, and packs jobs of at most batch.max items in order', async () => {
    const { submit, jobs, end } = makeObserved();
    for (const text of 'abcdefgh') submit(text);
    await end(0);
    expect(jobs()).toEqual(['a', 'bcd']);
    await end(1);
    expect(jobs()).toEqual(['a', 'bcd', 'efg']);
    await end(2);
    expect(jobs()).toEqual(['a', 'bcd', 'efg', 'h']);
  });

  test('is idle again once it has sent everything', async () => {
    const { submit, jobs, end } = makeObserved();
    submit('a');
    await end(0);
    submit('b');
    expect(jobs()).toEqual(['a', 'b']);
  });

  test('belongs to one model, which has its own jobs and its own add in flight', async () => {
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
    const [ours, theirs] = [small.queue, other.queue];
    expect(added.map(({ queue }) => queue)).toEqual([ours, theirs, theirs, ours]);
  });

  test('belongs to one version of a model', () => {
    const { submit, added } = makeObserved();
    const other = makeSampleModel({ version: 2 });
    submit('a');
    submit('b', { model: other });
    expect(added.map(({ queue }) => queue)).toEqual([small.queue, other.queue]);
    expect(other.queue).not.toBe(small.queue);
  });

  test('goes on after a failed add, which fails its items and those that arrived meanwhile', async () => {
    const { submit, jobs, end, waiters } = makeObserved();
    const [a, b, c] = [submit('a'), submit('b'), submit('c')];
    await end(0);
    const d = submit('d');
    await end(1, unavailable());
    expect(await b.outcome).toBe('queue_unavailable');
    expect(await c.outcome).toBe('queue_unavailable');
    expect(await d.outcome).toBe('queue_unavailable');
    const e = submit('e');
    expect(jobs()).toEqual(['a', 'bc', 'e']);
    expect(waiters.isExpected(a.id)).toBe(true);
    expect(waiters.isExpected(e.id)).toBe(true);
    expect(waiters.size).toBe(2);
  });
});

describe('a lane with two jobs unanswered', () => {
  /** Opens a lane that has sent two jobs, `a` and `b`. */
  const makeBusy = async () => {
    const observed = makeObserved({ lingerMs: 6 });
    for (const [index, text] of ['a', 'b'].entries()) {
      observed.submit(text);
      await observed.end(index);
    }
    return observed;
  };

  test('gathers items until one of the jobs is answered', async () => {
    const { submit, jobs, answer } = await makeBusy();
    for (const text of 'cd') submit(text);
    await passMs(5);
    expect(jobs()).toEqual(['a', 'b']);
    await answer(1);
    expect(jobs()).toEqual(['a', 'b', 'cd']);
  });

  test('gathers items for lingerMs at most', async () => {
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
    'gathers items for $gatheredMs ms if they wait $queueMs ms in the queue',
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

  test('gathers no more items than fit into a job', async () => {
    const { submit, jobs } = await makeBusy();
    for (const text of 'cde') submit(text);
    await everythingDone();
    expect(jobs()).toEqual(['a', 'b', 'cde']);
  });

  test('sends at once when one of the jobs has failed', async () => {
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
  ])('holds $batches batches if one takes $computeMs ms', async ({ computeMs, batches }) => {
    const { submit, added, end, answer } = makeObserved();
    submit('a');
    await end(0);
    await answer(0, { computeMs });
    for (let item = 0; item < 30; item++) submit('b');
    await end(1);
    expect(added[2]?.job.items).toHaveLength(batches * 3);
  });

  test('names the instance to answer, and holds id, times, top and tensors of each item', () => {
    const { submit, added } = makeObserved();
    const submittedAt = nowMs();
    const { id } = submit('hello', { deadlineAt: submittedAt + 700 });
    expect(added[0]?.job).toEqual({
      replyTo: 'api-1',
      items: [
        { id, submittedAt, deadlineAt: submittedAt + 700, top: 2, inputs: textInput('hello') },
      ],
    });
  });

  test('says how long the reply to an item is kept', () => {
    const { submit, added } = makeObserved();
    submit('hello', { id: 'given', keepMs: 500 });
    expect(added[0]?.job.items[0]).toMatchObject({ id: 'given', keepMs: 500 });
  });

  const zeros = (mebibytes: number): Tensor[] => {
    const data = Buffer.allocUnsafe(mebibytes * 1024 * 1024);
    return [{ name: 'input', datatype: 'UINT8', shape: [1, data.length], data }];
  };

  test('carries tensors without copying them', () => {
    const { submit, added } = makeObserved();
    const inputs = zeros(1);
    submit('', { inputs });
    expect(added[0]?.job.items[0]?.inputs[0]?.data).toBe(inputs[0]?.data);
  });

  test('holds at most 32 MiB of inputs, and keeps the tensors of an item together', async () => {
    const { submit, added, end } = makeObserved();
    submit('', { inputs: zeros(5) });
    const sizes = [[16], [8, 8], [20], [12, 0.5], [5]];
    const ids = sizes.map((each) => submit('', { inputs: each.flatMap(zeros) }).id);
    for (let index = 0; index < 4; index++) await end(index);
    const sent = added.slice(1).map(({ job }) => job.items.map((item) => item.id));
    const [a, b, c, d, e] = ids;
    expect(sent).toEqual([[a, b], [c], [d, e]]);
  });

  test('holds a single item if that exceeds the limit by itself', async () => {
    const { submit, added, end } = makeObserved();
    submit('', { inputs: zeros(5) });
    submit('', { inputs: zeros(33) });
    submit('', { inputs: zeros(5) });
    await end(0);
    await end(1);
    expect(added.slice(1).map(({ job }) => job.items.length)).toEqual([1, 1]);
  });
});

describe('an item', () => {
  test('gets a reply that arrives before add resolves', async () => {
    const { submit, reply, waiters, end } = makeObserved();
    const { id, outcome } = submit('a');
    expect(reply(id)).toBe(true);
    expect(await outcome).toBe(1);
    await end(0);
    expect(waiters.size).toBe(0);
  });

  test('keeps its reply if add fails afterwards', async () => {
    const { submit, reply, end } = makeObserved();
    const { id, outcome } = submit('a');
    reply(id);
    await end(0, unavailable());
    expect(await outcome).toBe(1);
  });

  test('gets its own reply, in whatever order replies arrive', async () => {
    const { submitAll, reply, end } = makeObserved();
    const { ids, outcomes } = submitAll(['a', 'b', 'c']);
    await end(0);
    for (const [at, id] of [...ids.entries()].toReversed())
      reply(id, { timing: { batchSize: at } });
    expect(await Promise.all(outcomes)).toEqual([0, 1, 2]);
  });

  test('of a call that has ended already is not sent', async () => {
    const { submit, added, waiters } = makeObserved();
    const { outcome } = submit('a', { ending: endedEnding() });
    expect(await outcome).toBe('client_closed');
    expect(added).toEqual([]);
    expect(waiters.size).toBe(0);
  });
});

describe('a call that ends', () => {
  const late = () => new ScorelineError('deadline_exceeded', 'Late.');

  test('withdraws its unsent items without a command to the queue', async () => {
    const { submit, jobs, end, cancelled } = makeObserved();
    submit('a');
    const [b] = [submit('b'), submit('c')];
    b.abort();
    expect(await b.outcome).toBe('client_closed');
    await end(0);
    expect(jobs()).toEqual(['a', 'c']);
    expect(cancelled).toEqual([]);
  });

  test('causes no job if all its items are withdrawn', async () => {
    const { submit, jobs, end } = makeObserved();
    submit('a');
    for (const one of [submit('b'), submit('c')]) one.abort();
    await end(0);
    submit('d');
    expect(jobs()).toEqual(['a', 'd']);
  });

  test('cancels each sent and unanswered item in the queue once', async () => {
    const { submit, submitAll, cancelled, reply, waiters, end } = makeObserved();
    submit('first');
    const deadlineAt = nowMs() + 500;
    const { ids, outcomes, abort } = submitAll(['a', 'b', 'c', 'd'], { deadlineAt });
    await end(0);
    reply(ids[1] as string);
    await everythingDone();
    abort();
    abort();
    const [a, , c] = ids;
    expect(await Promise.all(outcomes)).toEqual([
      'client_closed',
      1,
      'client_closed',
      'client_closed',
    ]);
    const queue = small.queue;
    expect(cancelled).toEqual([a, c].map((itemId) => ({ queue, itemId, deadlineAt })));
    expect(waiters.size).toBe(1);
  });

  test('cancels nothing after the answer', async () => {
    const { submit, cancelled, reply, end } = makeObserved();
    const { id, abort, outcome } = submit('a');
    await end(0);
    reply(id);
    abort();
    expect(await outcome).toBe(1);
    expect(cancelled).toEqual([]);
  });

  test('cancels nothing at its deadline, because workers know the deadline', async () => {
    const { submit, cancelled, waiters, reply, end } = makeObserved();
    const { id, abort, outcome } = submit('a', { deadlineAt: nowMs() + 50 });
    await end(0);
    await passMs(50);
    abort(late());
    expect(await outcome).toBe('deadline_exceeded');
    expect(cancelled).toEqual([]);
    expect(waiters.size).toBe(0);
    expect(reply(id)).toBe(false);
  });

  test('cancels no item whose reply is kept for repeats', async () => {
    const { submit, cancelled, end } = makeObserved();
    const { abort, outcome } = submit('a', { keepMs: 1000 });
    await end(0);
    abort(new ScorelineError('shutting_down', 'Over.'));
    expect(await outcome).toBe('shutting_down');
    expect(cancelled).toEqual([]);
  });

  test('leaves no listener behind, however it ends', async () => {
    const { submitAll, submit, reply, end } = makeObserved();
    const answered = submitAll(['a', 'b']);
    await end(0);
    reply(answered.ids[0] as string);
    await everythingDone();
    expect(answered.ending.listeners).toBe(1);
    reply(answered.ids[1] as string);
    await everythingDone();
    const failed = submit('c');
    await end(1, unavailable());
    await failed.outcome;
    const aborted = submit('d');
    aborted.abort();
    await aborted.outcome;
    for (const { ending } of [answered, failed, aborted]) {
      expect(ending.listeners).toBe(0);
    }
  });

  test('leaves no trace in the lane, so later items do not gather because of it', async () => {
    const { submit, jobs, end } = makeObserved({ lingerMs: 6 });
    for (const index of [0, 1]) {
      const one = submit('a');
      await end(index);
      one.abort();
      await one.outcome;
    }
    await everythingDone();
    submit('b');
    await end(2);
    submit('c');
    expect(jobs()).toEqual(['a', 'a', 'b', 'c']);
  });

  test('before its item is sent leaves no item behind for a repeat to send twice', async () => {
    const { submit, jobs, end, answer } = makeObserved({ lingerMs: 6 });
    submit('a');
    const first = submit('x', { id: 'same', keepMs: 1000 });
    first.abort(late());
    await first.outcome;
    const repeat = submit('x', { id: 'same', keepMs: 1000 });
    await end(0);
    expect(jobs()).toEqual(['a', 'x']);
    await end(1);
    await answer(0);
    await answer(1);
    expect(await repeat.outcome).toBe(1);
    submit('b');
    await end(2);
    submit('c');
    await end(3);
    expect(jobs()).toEqual(['a', 'x', 'b', 'c']);
  });
});

test('a reply that was kept from an earlier request does not change how items gather', async () => {
  const { submit, jobs, end, answer } = makeObserved({ lingerMs: 6 });
  for (const index of [0, 1, 2]) {
    submit('a');
    await passMs(6);
    await end(index);
  }
  await answer(0, { queueMs: 60_000, computeMs: 0.1 }, true);
  submit('b');
  await passMs(5);
  expect(jobs()).toEqual(['a', 'a', 'a']);
  await passMs(1);
  expect(jobs()).toEqual(['a', 'a', 'a', 'b']);
});

test('a model that has left is held no more, and its items on their way are answered', async () => {
  const { dispatcher, submit, end, answer } = makeObserved();
  const weakly = () => {
    const model = makeSampleModel({ name: 'leaving' });
    const { outcome } = submit('a', { model });
    dispatcher.forget(model);
    return { outcome, model: new WeakRef(model) };
  };
  const { outcome, model } = weakly();
  await end(0);
  await answer(0);
  expect(await outcome).toBe(1);
  await everythingDone();
  collectGarbage();
  expect(model.deref()).toBeUndefined();
});
