import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { anyone } from '../../api/access/caller.js';
import { type Call, clientClosed } from '../../api/call/call.js';
import { nowMs } from '../../shared/clock.js';
import { ScorelineError } from '../../shared/errors.js';
import { everythingDone, passMs, stopClock } from './clock.js';
import { makeIdleCalls } from './idle-calls.js';
import { errorOf, makeSampleModel } from './sample-model.js';

const a = makeSampleModel({ name: 'a', deadlineMs: 1000 });
const b = makeSampleModel({ name: 'b', deadlineMs: 300 });

/** Opens calls with an admission and a byte budget that the test can read. */
function makeObserved(options: { permitsMax?: number; bytesMax?: number } = {}) {
  const { admission, bodies, calls } = makeIdleCalls({ permitsMax: 4, ...options });
  const open = (changes: { models?: (typeof a)[]; key?: string; withinMs?: number } = {}) => {
    const { models = [a], key, withinMs = 1000 } = changes;
    return calls.open({
      caller: anyone,
      models,
      key,
      arrivedAt: nowMs(),
      deadlineAt: nowMs() + withinMs,
    });
  };
  /** Whether no call has left a permit, a byte or a timer behind. */
  const expectNothingLeft = () => {
    expect(admission.inFlight).toBe(0);
    expect(bodies.taken).toBe(0);
    expect(calls.size).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  };
  return { admission, bodies, calls, open, expectNothingLeft };
}

/** Makes a stage that the test stops. */
function makeStage() {
  let stop = (_error?: Error) => {};
  const run = () =>
    new Promise<string>((resolve, reject) => {
      stop = (error) => (error ? reject(error) : resolve('done'));
    });
  return { run, stop: (error?: Error) => stop(error) };
}

const reasonOf = (call: Call) => call.ending.reason?.code;

beforeEach(stopClock);

describe('a model that cannot be scored', () => {
  const refusal = new ScorelineError('model_load_failed', 'broken');
  const reasons = new Map([[a.queue, refusal]]);

  test('ends the calls that wait for it alone, and refuses new ones', () => {
    const { open, calls, expectNothingLeft } = makeObserved();
    const [lost, other, either] = [open(), open({ models: [b] }), open({ models: [a, b] })];
    calls.refuse(reasons);
    expect([lost, other, either].map(reasonOf)).toEqual([refusal.code, undefined, undefined]);
    expect(errorOf(() => open())).toBe(refusal);
    expect(errorOf(() => either.assign(a, 1))).toBe(refusal);
    expect([calls.isRefused(a), calls.isRefused(b)]).toEqual([true, false]);
    calls.refuse(new Map());
    for (const call of [other, either, open()]) call.end('abandoned');
    expectNothingLeft();
  });

  test('leaves a repeat its result, and refuses it only when it is scored again', () => {
    const { open, calls, expectNothingLeft } = makeObserved();
    calls.refuse(reasons);
    const repeat = open({ key: 'k' });
    repeat.assign(a, 2);
    expect(errorOf(() => calls.openFlight(repeat))).toBe(refusal);
    repeat.end('abandoned');
    expectNothingLeft();
  });
});

describe('a call', () => {
  test('holds one permit until it ends', () => {
    const { admission, open, expectNothingLeft } = makeObserved();
    const call = open();
    expect(admission.inFlight).toBe(1);
    call.end('scored');
    call.end('abandoned');
    call.abort(clientClosed());
    expect(admission.traffic(a.queue)).toMatchObject({ inFlight: 0, answered: 1 });
    expectNothingLeft();
  });

  test('has an id of its own', () => {
    const { open } = makeObserved();
    const [one, other] = [open(), open()];
    expect(one.id).toMatch(/^[0-9a-f-]{36}$/);
    expect(one.id).not.toBe(other.id);
    for (const call of [one, other]) call.end('abandoned');
  });

  test('is refused if there is no permit, and leaves nothing behind', () => {
    const { open, calls } = makeObserved({ permitsMax: 1 });
    const call = open();
    expect(errorOf(() => open()).code).toBe('overloaded');
    expect(calls.size).toBe(1);
    call.end('scored');
    open().end('scored');
  });

  test('with a key opens even without a permit, because its result may be there', () => {
    const { open, admission, expectNothingLeft } = makeObserved({ permitsMax: 1 });
    const first = open();
    const repeat = open({ key: 'k' });
    expect(admission.inFlight).toBe(1);
    repeat.assign(a, 3);
    repeat.end('abandoned');
    expect(admission.inFlight).toBe(1);
    first.end('scored');
    expectNothingLeft();
  });

  test('reports a bug if its model is read before it is known', () => {
    const { open, admission } = makeObserved();
    const call = open({ models: [a, b] });
    expect(() => call.model).toThrow(/This is a bug/);
    call.assign(b, 2);
    expect(call.model).toBe(b);
    expect(call.inputs).toBe(2);
    expect(admission.traffic(b.queue).inFlight).toBe(2);
    call.end('scored');
    expect(admission.inFlight).toBe(0);
  });

  test('that is refused more permits gives its first one back when it ends', () => {
    const { open, expectNothingLeft } = makeObserved({ permitsMax: 4 });
    const call = open({ models: [a, b] });
    expect(errorOf(() => call.assign(a, 5)).code).toBe('overloaded');
    call.end('abandoned');
    expectNothingLeft();
  });
});

describe('a late call', () => {
  test('names the phase that it was in', async () => {
    const { open } = makeObserved();
    const calls = [open(), open(), open()];
    calls[1]?.enter('preparing');
    calls[2]?.enter('preparing');
    calls[2]?.enter('scoring');
    await passMs(1000);
    const details = calls.map((call) => call.ending.reason?.message);
    expect(details).toEqual(['receiving', 'preparing', 'scoring']);
  });

  test('names the phase of its flight', async () => {
    const { open, calls } = makeObserved();
    const call = open({ key: 'k' });
    calls.openFlight(call).enter('preparing');
    await passMs(1000);
    expect(call.ending.reason?.message).toBe('preparing');
  });
});

describe('the signal', () => {
  test('is aborted at the deadline and not before, with the reason of that moment', async () => {
    const { open, expectNothingLeft } = makeObserved();
    const call = open({ withinMs: 100 });
    await passMs(99);
    expect(call.ending.reason).toBeUndefined();
    await passMs(1);
    expect(reasonOf(call)).toBe('deadline_exceeded');
    expectNothingLeft();
  });

  test('is aborted at once if the deadline has passed already', async () => {
    const { open } = makeObserved();
    const call = open({ withinMs: -5 });
    await passMs(1);
    expect(reasonOf(call)).toBe('deadline_exceeded');
  });

  test('keeps its first reason', () => {
    const { open } = makeObserved();
    const call = open();
    call.abort(clientClosed());
    call.abort(new ScorelineError('shutting_down', 'Over.'));
    call.end('scored');
    expect(reasonOf(call)).toBe('client_closed');
  });

  test('is aborted if the call ends without an answer, but not if it was answered', () => {
    const { open } = makeObserved();
    const [answered, failed] = [open(), open()];
    answered.end('scored');
    failed.end('abandoned');
    expect(answered.ending.reason).toBeUndefined();
    expect(reasonOf(failed)).toBe('client_closed');
  });
});

describe('the deadline', () => {
  test('can be moved forward, but not back', async () => {
    const { open } = makeObserved();
    const call = open({ withinMs: 500 });
    const arrivedAt = nowMs();
    call.limitDeadline(arrivedAt + 900);
    expect(call.deadlineAt).toBe(arrivedAt + 500);
    call.limitDeadline(arrivedAt + 200);
    expect(call.deadlineAt).toBe(arrivedAt + 200);
    expect(vi.getTimerCount()).toBe(1);
    await passMs(199);
    expect(call.ending.reason).toBeUndefined();
    await passMs(1);
    expect(reasonOf(call)).toBe('deadline_exceeded');
  });

  test('of an ended call cannot be moved, and starts no timer', () => {
    const { open, expectNothingLeft } = makeObserved();
    const call = open();
    call.end('scored');
    call.limitDeadline(nowMs() + 1);
    expectNothingLeft();
  });

  test('becomes the model’s own once the model is known', () => {
    const { open } = makeObserved();
    const [narrowed, assigned, hurried] = [0, 1, 2].map(() => open({ models: [a, b] }));
    const arrivedAt = nowMs();
    narrowed?.narrow([b]);
    assigned?.assign(b, 1);
    hurried?.limitDeadline(arrivedAt + 50);
    hurried?.assign(b, 1);
    expect(
      [narrowed, assigned, hurried].map((call) => (call?.deadlineAt ?? 0) - arrivedAt),
    ).toEqual([300, 300, 50]);
    for (const call of [narrowed, assigned, hurried]) call?.end('abandoned');
  });

  test('stays the same if the call is narrowed to no model or to all models', () => {
    const { open, admission } = makeObserved();
    const call = open({ models: [a, b] });
    call.narrow([]);
    call.narrow([a, b]);
    expect(call.models).toEqual([a, b]);
    expect(admission.traffic(a.queue).inFlight).toBe(0);
    call.end('abandoned');
  });
});

describe('a stage', () => {
  test('keeps the permit and the bytes of an ended call until it stops', async () => {
    const { open, admission, bodies, calls, expectNothingLeft } = makeObserved();
    const call = open();
    call.addBodyBytes(10);
    const stages = [makeStage(), makeStage()];
    const running = stages.map((stage) => call.run(stage.run));
    call.abort(clientClosed());
    expect(calls.size).toBe(0);
    stages[0]?.stop();
    await expect(running[0]).resolves.toBe('done');
    expect([admission.inFlight, bodies.taken]).toEqual([1, 10]);
    stages[1]?.stop(new Error('broken'));
    await expect(running[1]).rejects.toThrow('broken');
    expectNothingLeft();
  });

  test('that stops before the call ends releases nothing', async () => {
    const { open, admission } = makeObserved();
    const call = open();
    await call.run(async () => {});
    expect(admission.inFlight).toBe(1);
    call.end('scored');
    expect(admission.traffic(a.queue).answered).toBe(1);
  });

  test('that throws at once counts as stopped', async () => {
    const { open, expectNothingLeft } = makeObserved();
    const call = open();
    const broken = call.run(() => {
      throw new Error('broken');
    });
    await expect(broken).rejects.toThrow('broken');
    call.end('abandoned');
    expectNothingLeft();
  });
});

describe('waiting for a promise or the ending', () => {
  test('settles with the first of the two, and leaves no listener behind', async () => {
    const { open } = makeObserved();
    const call = open();
    await expect(call.ending.orEnd(Promise.resolve(5))).resolves.toBe(5);
    await expect(call.ending.orEnd(Promise.reject(new Error('no')))).rejects.toThrow('no');
    const stage = makeStage();
    const waiting = call.ending.orEnd(stage.run());
    expect(call.ending.listeners).toBe(1);
    call.abort(clientClosed());
    await expect(waiting).rejects.toMatchObject({ code: 'client_closed' });
    expect(call.ending.listeners).toBe(0);
  });

  test.each(['before', 'after'])(
    'causes no unhandled rejection if the promise fails and the call has ended %s',
    async (when) => {
      const unhandled: unknown[] = [];
      const onUnhandled = (error: unknown) => unhandled.push(error);
      const others = process.listeners('unhandledRejection');
      process.removeAllListeners('unhandledRejection').on('unhandledRejection', onUnhandled);
      onTestFinished(() => {
        process.removeAllListeners('unhandledRejection');
        for (const listener of others) process.on('unhandledRejection', listener);
      });
      const { open } = makeObserved();
      const call = open();
      const stage = makeStage();
      if (when === 'before') call.abort(clientClosed());
      const waiting = call.ending.orEnd(stage.run());
      if (when === 'after') call.abort(clientClosed());
      await expect(waiting).rejects.toMatchObject({ code: 'client_closed' });
      stage.stop(new Error('nobody hears this'));
      await everythingDone();
      await everythingDone();
      expect(unhandled).toEqual([]);
    },
  );
});

describe('the bytes of bodies', () => {
  test('are given back once, when the body is dropped', () => {
    const { open, bodies, expectNothingLeft } = makeObserved();
    const [one, other] = [open(), open()];
    one.addBodyBytes(300);
    one.addBodyBytes(200);
    other.addBodyBytes(400);
    expect(errorOf(() => other.addBodyBytes(101)).code).toBe('overloaded');
    expect(bodies.taken).toBe(900);
    one.dropBody();
    one.dropBody();
    expect(bodies.taken).toBe(400);
    one.end('scored');
    other.end('abandoned');
    expectNothingLeft();
  });
});

test('bytes that arrive behind the end of a call are not counted', () => {
  const { open, expectNothingLeft } = makeObserved();
  const call = open();
  call.addBodyBytes(300);
  call.end('abandoned');
  call.addBodyBytes(200);
  expectNothingLeft();
});

describe('a flight', () => {
  test('takes over the permit and the body, and goes on when the client hangs up', () => {
    const { calls, open, admission, bodies, expectNothingLeft } = makeObserved();
    const call = open({ models: [a, b], key: 'k' });
    call.addBodyBytes(70);
    call.assign(a, 3);
    const flight = calls.openFlight(call);
    expect([flight.model, flight.key, flight.inputs]).toEqual([a, 'k', 3]);
    expect([flight.arrivedAt, flight.deadlineAt]).toEqual([call.arrivedAt, call.deadlineAt]);
    expect(admission.inFlight).toBe(3);
    call.abort(clientClosed());
    expect(flight.ending.reason).toBeUndefined();
    expect([admission.inFlight, bodies.taken]).toEqual([3, 70]);
    flight.dropBody();
    expect(bodies.taken).toBe(0);
    flight.end('scored');
    expect(admission.traffic(a.queue)).toMatchObject({ inFlight: 0, answered: 3 });
    expectNothingLeft();
  });

  test('ends at its deadline', async () => {
    const { calls, open, expectNothingLeft } = makeObserved();
    const call = open({ key: 'k', withinMs: 100 });
    const flight = calls.openFlight(call);
    call.abort(clientClosed());
    await passMs(100);
    expect(reasonOf(flight)).toBe('deadline_exceeded');
    expectNothingLeft();
  });

  test('of a call without a permit takes one if there is room again', () => {
    const { calls, open, admission, expectNothingLeft } = makeObserved({ permitsMax: 2 });
    const others = [open(), open()];
    const call = open({ key: 'k' });
    expect(errorOf(() => calls.openFlight(call)).code).toBe('overloaded');
    for (const other of others) other.end('scored');
    const flight = calls.openFlight(call);
    expect(admission.inFlight).toBe(1);
    flight.end('abandoned');
    call.end('abandoned');
    expectNothingLeft();
  });
});

describe('a shutdown', () => {
  test('refuses new calls, and lets open ones go on', () => {
    const { calls, open } = makeObserved();
    const call = open();
    calls.shutDown();
    expect(calls.isShuttingDown).toBe(true);
    for (const key of [undefined, 'k']) {
      const error = errorOf(() => open(key === undefined ? {} : { key }));
      expect(error).toMatchObject({ code: 'shutting_down', retryAfterSeconds: 1 });
    }
    expect(call.ending.reason).toBeUndefined();
    call.end('scored');
  });

  test('that runs out of time ends all calls and flights', () => {
    const { calls, open, expectNothingLeft } = makeObserved();
    const call = open();
    const flight = calls.openFlight(open({ key: 'k' }));
    calls.abortAll();
    expect([reasonOf(call), reasonOf(flight)]).toEqual(['shutting_down', 'shutting_down']);
    expectNothingLeft();
  });
});
