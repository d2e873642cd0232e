import { describe, expect, test } from 'vitest';
import {
  type AdmissionRequest,
  makeAdmission,
  type Permit,
} from '../../api/admission/admission.js';
import { errorOf } from './sample-model.js';

/** An admission whose clock and queue depths the test sets. */
function makeObserved(options: { permitsMax?: number; jobsMax?: number } = {}) {
  const { permitsMax = 1000, jobsMax = 1000 } = options;
  const clock = { ms: 5000 };
  const depths = new Map<string, number>();
  const peers: { inFlight: number; perSecond?: number } = { inFlight: 0 };
  const admission = makeAdmission({
    permitsMax,
    jobsMax,
    jobsIn: (queue) => depths.get(queue),
    peers: {
      inFlight: () => peers.inFlight,
      msFor: (_queue, count) =>
        peers.perSecond === undefined ? undefined : (count * 1000) / peers.perSecond,
    },
    now: () => clock.ms,
  });
  const admit = (count = 1, changes: Partial<AdmissionRequest> = {}) =>
    admission.admit({ queue: 'a@1', batchMax: 4, count, deadlineMs: 30_000, ...changes });
  return {
    admission,
    clock,
    depths,
    peers,
    admit,
    refusal: (count = 1, changes: Partial<AdmissionRequest> = {}) =>
      errorOf(() => admit(count, changes)),
  };
}

/** Holds this many permits, and for some seconds gives back and takes as many as drain. */
function makeLoaded(options: { inFlight: number; perSecond: number; seconds: number }) {
  const observed = makeObserved({ permitsMax: options.inFlight });
  const noHurry = { deadlineMs: 3_600_000 };
  const held: Permit[] = Array.from({ length: options.inFlight }, () => observed.admit(1, noHurry));
  const drain = (perSecond: number, seconds: number) => {
    for (let count = 0; count < seconds * perSecond; count++) {
      observed.clock.ms += 1000 / perSecond;
      held.shift()?.release(true);
      held.push(observed.admit(1, noHurry));
    }
  };
  drain(options.perSecond, options.seconds);
  return { ...observed, drain };
}

describe('permits', () => {
  test('as many inputs are admitted as there are permits, and no more', () => {
    const { admission, admit, refusal } = makeObserved({ permitsMax: 3 });
    admit(1);
    admit(2);
    expect(admission.inFlight).toBe(3);
    expect(refusal().code).toBe('overloaded');
    expect(admission.inFlight).toBe(3);
  });

  test('bound the inputs of all models together', () => {
    const { admit, refusal } = makeObserved({ permitsMax: 3 });
    admit(2, { queue: 'a@1' });
    expect(refusal(2, { queue: 'b@1' }).code).toBe('overloaded');
    admit(1, { queue: 'b@1' });
  });

  test('are given to a request for all of its inputs or for none', () => {
    const { admission, admit, refusal } = makeObserved({ permitsMax: 3 });
    admit(2);
    expect(refusal(2).code).toBe('overloaded');
    expect(admission.inFlight).toBe(2);
    admit(1);
    expect(admission.inFlight).toBe(3);
  });

  test('are free for the next once they are released', () => {
    const { admission, admit, refusal } = makeObserved({ permitsMax: 2 });
    const permit = admit(2);
    refusal();
    permit.release(true);
    expect(admission.inFlight).toBe(0);
    admit(2);
    expect(admission.inFlight).toBe(2);
  });

  test('are released once only, however often that is asked', () => {
    const { admission, admit } = makeObserved({ permitsMax: 4 });
    const permit = admit(2);
    admit(1);
    permit.release(true);
    permit.release(true);
    expect(admission.inFlight).toBe(1);
  });

  test('are refused with how many were expected and how many there are', () => {
    const { admit, refusal } = makeObserved({ permitsMax: 7 });
    admit(6);
    expect(refusal(2).message).toMatch(/at most 7 inputs.* 6 already/);
  });
});

describe('the depth of the queue', () => {
  test('is bounded, for each model by itself', () => {
    const { admit, refusal, depths, admission } = makeObserved({ jobsMax: 10 });
    depths.set('a@1', 9);
    admit(1).release(true);
    depths.set('a@1', 10);
    const error = refusal();
    expect(error.code).toBe('overloaded');
    expect(error.message).toMatch(/at most 10 jobs.* 10\b/);
    expect(admission.inFlight).toBe(0);
    admit(1, { queue: 'b@1' });
  });

  test('refuses nobody while it is unknown', () => {
    const { admit, admission } = makeObserved({ jobsMax: 1 });
    admit(1);
    expect(admission.inFlight).toBe(1);
  });
});

describe('a deadline', () => {
  test('that the backlog leaves no time for is refused at once, with both times', () => {
    const { admit, refusal } = makeLoaded({ inFlight: 100, perSecond: 20, seconds: 30 });
    const error = refusal(0, { deadlineMs: 2000 });
    expect(error.code).toBe('overloaded');
    expect(error.message).toMatch(/within 2000 ms; the queue is [45]\d{3} ms long/);
    admit(0, { deadlineMs: 30_000 });
  });

  test('is believed in until the workers’ rate has been measured for a second', () => {
    const { admission, admit, clock, refusal } = makeObserved();
    const held = Array.from({ length: 40 }, () => admit(1));
    // The time runs from the first answer, since workers may have had to start for it.
    clock.ms += 60_000;
    for (const permit of held.splice(0, 9)) {
      clock.ms += 100;
      permit.release(true);
    }
    admit(1, { deadlineMs: 100 }).release(false);
    clock.ms += 400;
    held.pop()?.release(true);
    expect(admission.inFlight).toBe(30);
    expect(refusal(1, { deadlineMs: 100 }).code).toBe('overloaded');
  });

  test('does not keep requests out for ever after all of them have expired', () => {
    const { admit, clock } = makeObserved();
    const held = Array.from({ length: 40 }, () => admit(1));
    clock.ms += 30_000;
    for (const permit of held) permit.release(false);
    for (let count = 0; count < 40; count++) admit(1, { deadlineMs: 1000 });
  });

  test('is not judged by a model that had no backlog, however seldom it is asked', () => {
    const { admit, clock, admission } = makeObserved();
    for (let times = 0; times < 20; times++) {
      const permit = admit(1);
      clock.ms += 60_000;
      permit.release(true);
    }
    admit(1);
    admit(1, { deadlineMs: 10 });
    expect(admission.inFlight).toBe(2);
  });

  test('is judged by the backlog of its own model', () => {
    const { admit, clock, refusal } = makeObserved();
    const held = Array.from({ length: 40 }, () => admit(1));
    for (const permit of held.splice(0, 10)) {
      clock.ms += 1000;
      permit.release(true);
    }
    expect(refusal(1, { deadlineMs: 5000 }).code).toBe('overloaded');
    admit(1, { deadlineMs: 5000, queue: 'b@1' });
  });
});

describe('other instances', () => {
  test('count: what they have in flight is waited for, too', () => {
    const { admit, peers, refusal } = makeObserved();
    Object.assign(peers, { inFlight: 100, perSecond: 20 });
    expect(refusal(1, { deadlineMs: 5000 }).message).toMatch(/the queue is 5000 ms long/);
    admit(1, { deadlineMs: 10_000 });
  });

  test('do not keep requests out while less than two batches are in flight anywhere', () => {
    const { admit, peers, refusal } = makeObserved();
    Object.assign(peers, { inFlight: 6, perSecond: 0.01 });
    admit(1);
    admit(1);
    expect(refusal().code).toBe('overloaded');
  });

  test('say nothing of the rate before they know it', () => {
    const { admit, peers, admission } = makeObserved();
    peers.inFlight = 500;
    admit(1, { deadlineMs: 10 });
    expect(admission.inFlight).toBe(1);
  });

  test('are told what is in flight here, and what was answered', () => {
    const { admission, admit } = makeObserved();
    expect(admission.traffic('a@1')).toEqual({ inFlight: 0, answered: 0 });
    admit(3).release(true);
    admit(4).release(false);
    admit(2);
    expect(admission.traffic('a@1')).toMatchObject({ inFlight: 2, answered: 3 });
  });
});

describe('a check', () => {
  test('refuses what would be refused, and takes nothing', () => {
    const { admission, admit } = makeObserved({ permitsMax: 2 });
    const check = () =>
      admission.check({ queue: 'a@1', batchMax: 4, count: 1, deadlineMs: 30_000 });
    for (let times = 0; times < 5; times++) check();
    admit(2);
    expect(errorOf(check).code).toBe('overloaded');
    expect(admission.inFlight).toBe(2);
  });
});

describe('Retry-After', () => {
  test('is the time that what is in flight takes at the measured rate', () => {
    const { refusal } = makeLoaded({ inFlight: 400, perSecond: 20, seconds: 30 });
    const seconds = refusal().retryAfterSeconds ?? Number.NaN;
    expect(seconds).toBeGreaterThanOrEqual(0.9 * (400 / 20));
    expect(seconds).toBeLessThanOrEqual(1.1 * (400 / 20));
    expect(Number.isInteger(seconds)).toBe(true);
  });

  test('follows the rate when it changes', () => {
    const { refusal, drain } = makeLoaded({ inFlight: 400, perSecond: 10, seconds: 30 });
    const before = refusal().retryAfterSeconds;
    drain(80, 60);
    const after = refusal().retryAfterSeconds;
    expect([before, after]).toEqual([expect.closeTo(40, -1), expect.closeTo(5, -0.5)]);
  });

  test('is at least one second, however fast the workers are', () => {
    const { refusal } = makeLoaded({ inFlight: 10, perSecond: 1000, seconds: 5 });
    expect(refusal().retryAfterSeconds).toBe(1);
  });

  test('is one second while the rate is unknown', () => {
    const { admit, refusal } = makeObserved({ permitsMax: 5 });
    admit(5);
    expect(refusal().retryAfterSeconds).toBe(1);
  });

  test('is as long as nothing was answered, while the rate is unknown', () => {
    const { admit, clock, refusal } = makeObserved({ permitsMax: 5 });
    admit(5);
    clock.ms += 12_000;
    expect(refusal().retryAfterSeconds).toBe(12);
  });

  test('counts what other instances have in flight', () => {
    const { admit, peers, refusal } = makeObserved({ permitsMax: 1 });
    Object.assign(peers, { inFlight: 99, perSecond: 10 });
    admit(1);
    expect(refusal().retryAfterSeconds).toBe(10);
  });

  test('is at most sixty seconds, however slow the workers are', () => {
    const { refusal } = makeLoaded({ inFlight: 1000, perSecond: 1, seconds: 30 });
    expect(refusal().retryAfterSeconds).toBe(60);
  });
});
