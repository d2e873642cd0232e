import { beforeEach, describe, expect, test, vi } from 'vitest';
import { anyone } from '../../api/access/caller.js';
import { type Call, clientClosed } from '../../api/call/call.js';
import { identify } from '../../api/repeat/identity.js';
import { makeRepeatable, type Work } from '../../api/repeat/repeatable.js';
import type { Results } from '../../api/repeat/results.js';
import { nowMs } from '../../shared/clock.js';
import { ScorelineError } from '../../shared/errors.js';
import type { Reply, ScoredReply } from '../../shared/wire/reply.js';
import { everythingDone, passMs, stopClock } from './clock.js';
import { makeIdleCalls } from './idle-calls.js';
import { makeSampleModel } from './sample-model.js';

const model = makeSampleModel();
const timing = { queueMs: 1, batchMs: 0, computeMs: 2, batchSize: 1 };
const replyTo = (id: string): ScoredReply => ({ id, outputs: [], timing });
const identity = identify('key', {
  caller: anyone.id,
  queue: model.queue,
  top: 3,
  inputs: [{ value: 'a' }, { value: 'b' }],
});
const [a, b] = identity.ids as [string, string];

/** Makes a promise that the test settles. */
function makeWait() {
  let resolve = (_reply: ScoredReply) => {};
  let reject = (_error: Error) => {};
  const promise = new Promise<ScoredReply>((...settle) => {
    [resolve, reject] = settle;
  });
  return { promise, resolve, reject };
}

interface Sent {
  readonly flight: Call;
  readonly ids: readonly string[];
  resolve(id: string): void;
  reject(id: string, error: Error): void;
}

/** Makes a `Repeatable` with results in memory. The test answers its items. */
function makeObserved({ permitsMax = 10 } = {}) {
  const { admission, bodies, calls } = makeIdleCalls({ permitsMax });
  const kept = new Map<string, Reply>();
  const released: string[] = [];
  let isNew = true;
  const know = async () => ({ replies: identity.ids.map((id) => kept.get(id)), isNew });
  const results: Omit<Results, 'lengthen'> = {
    keepMs: 5000,
    claim: async () => {
      const known = await know();
      isNew = false;
      return known;
    },
    look: know,
    release: ({ scope }) => released.push(scope),
  };
  const repeatable = makeRepeatable({ calls, results });
  const sent: Sent[] = [];
  const work: Work = {
    prepare: async (flight) => {
      flight.dropBody();
      return identity.ids.map(() => []);
    },
    submit: (flight, items) => {
      const waits = new Map(items.map(({ id }) => [id, makeWait()]));
      sent.push({
        flight,
        ids: items.map(({ id }) => id),
        resolve: (id) => waits.get(id)?.resolve(replyTo(id)),
        reject: (id, error) => waits.get(id)?.reject(error),
      });
      flight.ending.onEnd(() => {
        for (const wait of waits.values()) wait.reject(flight.ending.reason as ScorelineError);
      });
      return [...waits.values()].map(({ promise }) => promise);
    },
  };
  /** Scores and then ends the call, as api/scoring.ts does. */
  const ask = (withinMs = 1000, changes: Partial<Work> = {}) => {
    const deadlineAt = nowMs() + withinMs;
    const slot = { isHeld: true, release: () => Object.assign(slot, { isHeld: false }) };
    const call = calls.open({
      caller: anyone,
      slot,
      models: [model],
      key: 'key',
      arrivedAt: nowMs(),
      deadlineAt,
    });
    call.addBodyBytes(10);
    const outcome = repeatable
      .score(call, identity, { ...work, ...changes })
      .then(
        (replies) => ({ ids: replies.map(({ id }) => id), isReplayed: call.isReplayed }),
        (error: ScorelineError) => error.code,
      )
      .finally(() => call.end('abandoned'));
    return { call, slot, outcome };
  };
  const expectNothingLeft = async () => {
    await everythingDone();
    expect([admission.inFlight, bodies.taken, calls.size]).toEqual([0, 0, 0]);
    expect(vi.getTimerCount()).toBe(0);
  };
  return { admission, calls, kept, released, sent, ask, expectNothingLeft };
}

beforeEach(stopClock);

describe('the first request with a key', () => {
  test('sends its items under the ids of its identity', async () => {
    const { ask, sent, admission, expectNothingLeft } = makeObserved();
    const { outcome } = ask();
    await everythingDone();
    expect(sent.map(({ ids }) => ids)).toEqual([[a, b]]);
    expect(admission.inFlight).toBe(1);
    sent[0]?.resolve(b);
    sent[0]?.resolve(a);
    expect(await outcome).toEqual({ ids: [a, b], isReplayed: false });
    expect(admission.traffic(model.queue).answered).toBe(1);
    await expectNothingLeft();
  });

  test('goes on when its client hangs up, and a repeat joins it', async () => {
    const { ask, sent, admission, expectNothingLeft } = makeObserved();
    const first = ask();
    await everythingDone();
    first.call.abort(clientClosed());
    expect(await first.outcome).toBe('client_closed');
    expect(admission.inFlight).toBe(1);
    const repeat = ask();
    await everythingDone();
    expect(sent).toHaveLength(1);
    for (const id of identity.ids) sent[0]?.resolve(id);
    expect(await repeat.outcome).toEqual({ ids: [a, b], isReplayed: false });
    await expectNothingLeft();
  });

  test('keeps its place among those of its caller until it is scored, whoever hangs up', async () => {
    const { ask, sent } = makeObserved();
    const first = ask();
    await everythingDone();
    const second = ask();
    await everythingDone();
    for (const { call } of [first, second]) call.abort(clientClosed());
    await everythingDone();
    expect([first.slot.isHeld, second.slot.isHeld]).toEqual([true, false]);
    for (const id of [a, b]) sent[0]?.resolve(id);
    await everythingDone();
    expect(first.slot.isHeld).toBe(false);
  });

  test('leaves its key free if its inputs are refused', async () => {
    const { ask, released, sent, expectNothingLeft } = makeObserved();
    const prepare = () => Promise.reject(new ScorelineError('image_unreadable', 'Bad.'));
    expect(await ask(1000, { prepare }).outcome).toBe('image_unreadable');
    expect(released).toEqual([identity.scope]);
    expect(sent).toEqual([]);
    await expectNothingLeft();
  });

  test('fails with the error of its first failed item, once all items have ended', async () => {
    const { ask, sent, expectNothingLeft } = makeObserved();
    const { outcome } = ask();
    await everythingDone();
    sent[0]?.reject(a, new ScorelineError('model_failed', 'No.'));
    const repeat = ask();
    await everythingDone();
    expect(sent).toHaveLength(1);
    sent[0]?.resolve(b);
    expect(await outcome).toBe('model_failed');
    expect(await repeat.outcome).toBe('model_failed');
    await expectNothingLeft();
  });

  test('ends, with all repeats that wait, when a shutdown runs out of time', async () => {
    const { ask, calls, expectNothingLeft } = makeObserved();
    const [first, repeat] = [ask(), ask()];
    await everythingDone();
    calls.abortAll();
    expect(await first.outcome).toBe('shutting_down');
    expect(await repeat.outcome).toBe('shutting_down');
    await expectNothingLeft();
  });
});

describe('a repeat', () => {
  test('gets the kept result, and nothing is scored', async () => {
    const { ask, kept, sent, expectNothingLeft } = makeObserved();
    for (const id of identity.ids) kept.set(id, replyTo(id));
    expect(await ask().outcome).toEqual({ ids: [a, b], isReplayed: true });
    expect(sent).toEqual([]);
    await expectNothingLeft();
  });

  test('causes scoring only of missing items', async () => {
    const { ask, kept, sent, expectNothingLeft } = makeObserved();
    kept.set(a, replyTo(a));
    const { outcome } = ask();
    await everythingDone();
    expect(sent[0]?.ids).toEqual([b]);
    sent[0]?.resolve(b);
    expect(await outcome).toEqual({ ids: [a, b], isReplayed: false });
    await expectNothingLeft();
  });

  test('gets a kept failure', async () => {
    const { ask, kept, expectNothingLeft } = makeObserved();
    kept.set(a, { id: a, error: { code: 'model_crashed', detail: 'It crashed.' } });
    kept.set(b, replyTo(b));
    expect(await ask().outcome).toBe('model_crashed');
    await expectNothingLeft();
  });

  test('takes no permit while it waits for the first request', async () => {
    const { ask, admission, sent, expectNothingLeft } = makeObserved({ permitsMax: 2 });
    const asked = [ask(), ask(), ask(), ask()];
    await everythingDone();
    expect(admission.inFlight).toBe(1);
    for (const id of identity.ids) sent[0]?.resolve(id);
    for (const { outcome } of asked) expect(await outcome).toMatchObject({ ids: [a, b] });
    await expectNothingLeft();
  });

  test('with a later deadline starts again, with the same ids, when the first request is late', async () => {
    const { ask, sent, expectNothingLeft } = makeObserved();
    const first = ask(100);
    const patient = ask(1000);
    await passMs(100);
    await everythingDone();
    expect(await first.outcome).toBe('deadline_exceeded');
    expect(sent.map(({ ids }) => ids)).toEqual([
      [a, b],
      [a, b],
    ]);
    for (const id of identity.ids) sent[1]?.resolve(id);
    expect(await patient.outcome).toEqual({ ids: [a, b], isReplayed: false });
    await expectNothingLeft();
  });
});

describe('without a free permit', () => {
  test('a kept result is still answered', async () => {
    const { ask, calls, kept } = makeObserved({ permitsMax: 1 });
    const other = calls.open({
      caller: anyone,
      models: [model],
      arrivedAt: 0,
      deadlineAt: nowMs() + 1000,
    });
    for (const id of identity.ids) kept.set(id, replyTo(id));
    expect(await ask().outcome).toEqual({ ids: [a, b], isReplayed: true });
    other.end('scored');
  });

  test('a request without a kept result is refused', async () => {
    const { ask, calls, kept, sent, expectNothingLeft } = makeObserved({ permitsMax: 1 });
    const other = calls.open({
      caller: anyone,
      models: [model],
      arrivedAt: 0,
      deadlineAt: nowMs() + 1000,
    });
    kept.set(a, replyTo(a));
    expect(await ask().outcome).toBe('overloaded');
    expect(sent).toEqual([]);
    other.end('scored');
    await expectNothingLeft();
  });
});

describe('a request with a key, to a model with a response cache', () => {
  test('is answered from the cache, under the ids of its identity, and needs no worker', async () => {
    const { ask, sent, expectNothingLeft } = makeObserved();
    const recall = async (flight: Call) => {
      flight.cacheNote = { outcome: 'hit', ageMs: 0, leftMs: 1 };
      return [replyTo('x'), replyTo('y')];
    };
    const { call, outcome } = ask(1000, { recall });
    expect(await outcome).toEqual({ ids: [a, b], isReplayed: false });
    expect(call.cacheNote?.outcome).toBe('hit');
    expect(sent).toEqual([]);
    await expectNothingLeft();
  });

  test('leaves its replies there if the cache has none', async () => {
    const { ask, sent } = makeObserved();
    const kept: string[] = [];
    const { outcome } = ask(1000, {
      recall: async () => undefined,
      keep: (_flight, replies) => kept.push(...replies.map(({ id }) => id)),
    });
    await everythingDone();
    for (const id of [a, b]) sent[0]?.resolve(id);
    await outcome;
    expect(kept).toEqual([a, b]);
  });
});
