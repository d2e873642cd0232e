import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Admission, type AdmissionRequest, type Permit } from '../../api/admission/admission.js';
import { errorOf } from './sample-model.js';

/** Makes an admission whose clock and queue depths the test sets. */
function makeObserved(
  options: {
    permitsMax?: number;
    itemsMax?: number;
    countModels?: () => number;
    callerShare?: number;
  } = {},
) {
  const { permitsMax = 1000, itemsMax = 1000, countModels = () => 1, callerShare = 0.5 } = options;
  const clock = { ms: 5000 };
  const redis: { fullness?: number } = {};
  const depths = new Map<string, number>();
  const peers: { inFlight: number; perSecond?: number } = { inFlight: 0 };
  const admission = new Admission({
    permitsMax,
    callerShare,
    itemsMax,
    unansweredIn: (queue) => depths.get(queue),
    countModels,
    peers: {
      inFlight: () => peers.inFlight,
      msFor: (_queue, count) =>
        peers.perSecond === undefined ? undefined : (count * 1000) / peers.perSecond,
    },
    redisFullness: () => redis.fullness,
    now: () => clock.ms,
  });
  const admit = (count = 1, changes: Partial<AdmissionRequest> = {}) =>
    admission.admit([request(count, changes)]);
  return {
    admission,
    clock,
    depths,
    peers,
    redis,
    admit,
    refusal: (count = 1, changes: Partial<AdmissionRequest> = {}) =>
      errorOf(() => admit(count, changes)),
  };
}

/** Makes a request to the model `a`, unless the changes name another model. */
function request(count = 1, changes: Partial<AdmissionRequest> = {}): AdmissionRequest {
  return { queue: 'a@1', batchMax: 4, count, deadlineMs: 30_000, ...changes };
}

/** Keeps this many permits taken for some seconds, while workers answer at the given rate. */
function makeLoaded(options: {
  inFlight: number;
  perSecond: number;
  seconds: number;
  permitsMax?: number;
}) {
  const observed = makeObserved({ permitsMax: options.permitsMax ?? options.inFlight });
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

describe('inputs of jobs', () => {
  /** Queues jobs, and has workers answer some of them. */
  function makeBehindJobs(jobs: number, perSecond: number, seconds: number) {
    const observed = makeObserved({ permitsMax: 100 });
    const { admission, clock, depths } = observed;
    depths.set('a@1', jobs);
    const held = Array.from({ length: jobs }, () =>
      admission.holdJob({ queue: 'a@1', batchMax: 4 }),
    );
    for (let count = 0; count < seconds * perSecond; count++) {
      clock.ms += 1000 / perSecond;
      held.shift()?.(true);
      depths.set('a@1', held.length);
    }
    return { ...observed, held };
  }

  test('hold no permits, but those that wait are behind them', () => {
    const { admission, admit, refusal } = makeBehindJobs(200, 10, 4);
    expect(admission.inFlight).toBe(0);
    expect(admission.traffic('a@1')).toMatchObject({ inFlight: 0, answered: 40 });
    expect(admission.toldTraffic('a@1')).toEqual({ inFlight: 160, answered: 40 });
    const refused = refusal(1, { deadlineMs: 3000 });
    expect(refused).toMatchObject({ code: 'overloaded', reason: 'wait_too_long' });
    expect(refused.retryAfterSeconds).toBeCloseTo(16, 0);
    expect(admission.drainMs('a@1')).toBeCloseTo(16_000, -3);
    admit(1, { deadlineMs: 60_000 });
    // Bulk has a line of its own.
    admit(1, { deadlineMs: 3000, priority: 'bulk' });
  });

  test('count once if their client still waits', () => {
    const { admission, admit, depths } = makeBehindJobs(40, 10, 1);
    for (let count = 0; count < 30; count++) admit(1, { deadlineMs: 60_000 });
    depths.set('a@1', 30);
    expect(admission.toldTraffic('a@1').inFlight).toBe(30);
    depths.set('a@1', 50);
    expect(admission.toldTraffic('a@1').inFlight).toBe(50);
    depths.set('a@1', 100);
    expect(admission.toldTraffic('a@1').inFlight).toBe(60);
  });

  test('whose replies are lost make no backlog, so the rate is that of the workers', () => {
    const { admission, admit, depths, clock } = makeObserved({ permitsMax: 1000 });
    for (let count = 0; count < 80; count++) admission.holdJob({ queue: 'a@1', batchMax: 4 });
    depths.set('a@1', 0);
    for (let second = 0; second < 30; second++) {
      const permit = admit(1, { deadlineMs: 60_000 });
      clock.ms += 1000;
      permit.release(true);
    }
    for (let count = 0; count < 100; count++) admit(1, { deadlineMs: 10_000 });
  });

  test('do not count if they are not in the queue any more, whether or not their replies have come', () => {
    const { admit, depths, held } = makeBehindJobs(200, 10, 4);
    depths.set('a@1', 0);
    admit(1, { deadlineMs: 3000 });
    depths.set('a@1', 160);
    for (const release of held) release(false);
    admit(1, { deadlineMs: 3000 });
  });
});

describe('the memory of Redis', () => {
  test('is not filled: bulk and what can wait stop at eight tenths, requests that wait at nine', () => {
    const { admit, refusal, redis } = makeObserved();
    const full = { code: 'overloaded', reason: 'redis_memory' };
    const priority = 'bulk' as const;
    admit(1, { priority });
    redis.fullness = 0.8;
    admit(1, { priority });
    redis.fullness = 0.81;
    expect(refusal(1, { priority })).toMatchObject(full);
    expect(refusal(1, { isPatient: true })).toMatchObject(full);
    admit(1);
    redis.fullness = 0.91;
    expect(refusal()).toMatchObject({
      ...full,
      message:
        "Expected at most 90 % of Redis' memory to be used; 91 % are. Ask again after the time in Retry-After.",
    });
  });
});

describe('permits', () => {
  test('admit as many inputs as there are permits, and no more', () => {
    const { admission, admit, refusal } = makeObserved({ permitsMax: 3 });
    admit(1);
    admit(2);
    expect(admission.inFlight).toBe(3);
    expect(refusal().code).toBe('overloaded');
    expect(admission.inFlight).toBe(3);
  });

  test('leave half of the room to others, if the input can wait', () => {
    const patient = { isPatient: true };
    const few = makeObserved({ permitsMax: 5 });
    for (let count = 0; count < 3; count++) few.admit(1, patient);
    expect(few.refusal(1, patient)).toMatchObject({ code: 'overloaded', reason: 'permits' });
    few.admit(1);
    const deep = makeObserved({ itemsMax: 9 });
    deep.depths.set('a@1', 5);
    expect(deep.refusal(1, patient)).toMatchObject({ reason: 'queue_full' });
    deep.admit(1);
    const slow = makeLoaded({ inFlight: 40, perSecond: 10, seconds: 30, permitsMax: 100 });
    const hurry = { deadlineMs: 8000 };
    expect(slow.refusal(0, { ...hurry, ...patient })).toMatchObject({ reason: 'wait_too_long' });
    slow.admit(0, hurry);
    // Where there is one permit, it is for everyone.
    makeObserved({ permitsMax: 1 }).admit(1, patient);
  });

  test('limit the inputs of all models together', () => {
    const { admit, refusal } = makeObserved({ permitsMax: 3 });
    admit(2, { queue: 'a@1' });
    expect(refusal(2, { queue: 'b@1' }).code).toBe('overloaded');
    admit(1, { queue: 'b@1' });
  });

  test('are given for all inputs of a request or for none', () => {
    const { admission, admit, refusal } = makeObserved({ permitsMax: 3 });
    admit(2);
    expect(refusal(2).code).toBe('overloaded');
    expect(admission.inFlight).toBe(2);
    admit(1);
    expect(admission.inFlight).toBe(3);
  });

  test('are free again once they are released', () => {
    const { admission, admit, refusal } = makeObserved({ permitsMax: 2 });
    const permit = admit(2);
    refusal();
    permit.release(true);
    expect(admission.inFlight).toBe(0);
    admit(2);
    expect(admission.inFlight).toBe(2);
  });

  test('are released once, even if release is called again', () => {
    const { admission, admit } = makeObserved({ permitsMax: 4 });
    const permit = admit(2);
    admit(1);
    permit.release(true);
    permit.release(true);
    expect(admission.inFlight).toBe(1);
  });

  test('are refused with an error that states the limit and the current number', () => {
    const { admit, refusal } = makeObserved({ permitsMax: 7 });
    admit(6);
    expect(refusal(2).message).toMatch(/at most 7 inputs.* 6 already, and this request has 2\./);
  });
});

describe('the depth of the queue', () => {
  test('is limited for each model separately', () => {
    const { admit, refusal, depths, admission } = makeObserved({ itemsMax: 10 });
    depths.set('a@1', 9);
    admit(1).release(true);
    depths.set('a@1', 10);
    const error = refusal();
    expect(error.code).toBe('overloaded');
    expect(error.message).toMatch(/at most 10 unanswered inputs.* 10\b/);
    expect(admission.inFlight).toBe(0);
    admit(1, { queue: 'b@1' });
  });

  test('count what came since the queue was last looked at', () => {
    const { admit, depths, peers, refusal } = makeObserved({ itemsMax: 10 });
    depths.set('a@1', 2);
    const permits = Array.from({ length: 10 }, () => admit());
    expect(refusal()).toMatchObject({ reason: 'queue_full' });
    permits[0]?.release(true);
    peers.inFlight = 1;
    expect(refusal()).toMatchObject({ reason: 'queue_full' });
    peers.inFlight = 0;
    admit();
  });

  test('counts interactive inputs against bulk at once, and not the other way round', () => {
    const { admit, refusal } = makeObserved({ itemsMax: 10 });
    const priority = 'bulk' as const;
    for (let count = 0; count < 6; count++) admit(1, { priority });
    for (let count = 0; count < 4; count++) admit();
    expect(refusal(1, { priority })).toMatchObject({ reason: 'queue_full' });
    for (let count = 4; count < 10; count++) admit();
    expect(refusal()).toMatchObject({ reason: 'queue_full' });
  });

  test('refuses no request while it is unknown', () => {
    const { admit, admission } = makeObserved({ itemsMax: 1 });
    admit(1);
    expect(admission.inFlight).toBe(1);
  });
});

describe('a deadline', () => {
  test('that the backlog cannot meet is refused at once, with both times in the error', () => {
    const { admit, refusal } = makeLoaded({ inFlight: 100, perSecond: 20, seconds: 30 });
    const error = refusal(0, { deadlineMs: 2000 });
    expect(error.code).toBe('overloaded');
    expect(error.message).toMatch(/within 2000 ms; the queue is [45]\d{3} ms long/);
    admit(0, { deadlineMs: 30_000 });
  });

  test('causes no refusal until the workers’ rate has been measured for a second', () => {
    const { admission, admit, clock, refusal } = makeObserved();
    const held = Array.from({ length: 40 }, () => admit(1));
    // Measuring starts at the first answer, because workers may have had to start before it.
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

  test('does not keep later requests out after all requests have expired', () => {
    const { admit, clock } = makeObserved();
    const held = Array.from({ length: 40 }, () => admit(1));
    clock.ms += 30_000;
    for (const permit of held) permit.release(false);
    for (let count = 0; count < 40; count++) admit(1, { deadlineMs: 1000 });
  });

  test.each([
    ['whose batch holds one input', 1, 1],
    ['that gets full batches', 4, 4],
  ])(
    'causes no refusal of a model %s, however rare its requests were',
    (_what, batchMax, count) => {
      const { admit, admission, clock } = makeObserved();
      for (let asked = 0; asked < 10; asked++) {
        clock.ms += 60_000;
        const permit = admit(count, { batchMax });
        clock.ms += 10;
        permit.release(true);
      }
      for (let held = 0; held < 40; held++) admit(1, { batchMax });
      expect(admission.inFlight).toBe(40);
    },
  );

  test('causes no refusal if the model never had a backlog, however rare its requests are', () => {
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

  test('is compared with the backlog of its own model', () => {
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
  test('add their inputs in flight to the expected wait', () => {
    const { admit, peers, refusal } = makeObserved();
    Object.assign(peers, { inFlight: 100, perSecond: 20 });
    expect(refusal(1, { deadlineMs: 5000 }).message).toMatch(/the queue is 5000 ms long/);
    admit(1, { deadlineMs: 10_000 });
  });

  test('cause no refusal while fewer than two batches are in flight in all', () => {
    const { admit, peers, refusal } = makeObserved();
    Object.assign(peers, { inFlight: 6, perSecond: 0.01 });
    admit(1);
    admit(1);
    expect(refusal().code).toBe('overloaded');
  });

  test('cause no refusal while their rate is unknown', () => {
    const { admit, peers, admission } = makeObserved();
    peers.inFlight = 500;
    admit(1, { deadlineMs: 10 });
    expect(admission.inFlight).toBe(1);
  });

  test('learn what is in flight here and what was answered', () => {
    const { admission, admit } = makeObserved();
    expect(admission.traffic('a@1')).toEqual({ inFlight: 0, answered: 0 });
    admit(3).release(true);
    admit(4).release(false);
    admit(2);
    expect(admission.traffic('a@1')).toMatchObject({ inFlight: 2, answered: 3 });
  });
});

const b = { queue: 'b@1' };

describe('a request that several models could answer', () => {
  const either = [request(1), request(1, b)];

  test('takes one permit, which counts for no model until its model is known', () => {
    const { admission } = makeObserved();
    const permit = admission.admit(either);
    expect(admission.inFlight).toBe(1);
    expect([admission.traffic('a@1').inFlight, admission.traffic('b@1').inFlight]).toEqual([0, 0]);
    permit.assign([request(1, b)]);
    expect([admission.traffic('a@1').inFlight, admission.traffic('b@1').inFlight]).toEqual([0, 1]);
    permit.release(true);
    expect(admission.inFlight).toBe(0);
    expect(admission.traffic('b@1')).toMatchObject({ inFlight: 0, answered: 1 });
  });

  test('is refused only if none of them has room', () => {
    const { admission, depths } = makeObserved({ itemsMax: 10 });
    depths.set('a@1', 10);
    admission.admit(either);
    depths.set('b@1', 10);
    expect(errorOf(() => admission.admit(either)).code).toBe('overloaded');
    expect(admission.inFlight).toBe(1);
  });

  test('is refused with the shortest Retry-After of these models', () => {
    const { admission, clock, depths } = makeObserved({ itemsMax: 10 });
    admission.admit([request(1)]);
    clock.ms += 20_000;
    admission.admit([request(1, b)]);
    clock.ms += 7000;
    for (const queue of ['a@1', 'b@1']) depths.set(queue, 10);
    expect(errorOf(() => admission.admit(either)).retryAfterSeconds).toBe(7);
  });

  test('is refused if it turns out to be for a full model, and keeps its permit until then', () => {
    const { admission, depths } = makeObserved({ itemsMax: 10 });
    depths.set('a@1', 10);
    const permit = admission.admit(either);
    expect(errorOf(() => permit.assign([request(1)])).code).toBe('overloaded');
    expect(admission.inFlight).toBe(1);
    expect(admission.traffic('a@1').inFlight).toBe(0);
    permit.release(false);
    expect(admission.inFlight).toBe(0);
  });
});

describe('assigning a permit', () => {
  test('takes a permit for each input if there are enough', () => {
    const { admission } = makeObserved({ permitsMax: 16 });
    const permit = admission.admit([request()]);
    permit.assign([request(16)]);
    expect(admission.inFlight).toBe(16);
    expect(admission.traffic('a@1').inFlight).toBe(16);
    permit.release(true);
    expect(admission.inFlight).toBe(0);
  });

  test('leaves the permit as it was if it is refused', () => {
    const { admission, admit } = makeObserved({ permitsMax: 16 });
    admit(4);
    const permit = admission.admit([request()]);
    expect(errorOf(() => permit.assign([request(13)])).message).toMatch(/16 inputs.* 4 already/);
    expect(admission.inFlight).toBe(5);
    permit.release(false);
    expect(admission.inFlight).toBe(4);
  });

  test('does nothing after the permit is released', () => {
    const { admission } = makeObserved();
    const permit = admission.admit([request()]);
    permit.release(true);
    permit.assign([request(5)]);
    expect(admission.inFlight).toBe(0);
  });
});

describe('a model without workers', () => {
  test('takes half of the permits, and leaves the rest to other models', () => {
    const { admission, admit, refusal } = makeObserved({ permitsMax: 100, countModels: () => 2 });
    for (let count = 0; count < 50; count++) admit();
    const error = refusal();
    expect(error.code).toBe('overloaded');
    expect(error.message).toMatch(
      /free for the others, 50; it has 50 already, and this request has 1\./,
    );
    for (let count = 0; count < 25; count++) admit(1, b);
    expect(admission.inFlight).toBe(75);
    expect(refusal(1, b).code).toBe('overloaded');
    admit(1, { queue: 'c@1' });
  });

  test('takes all permits if there is no other model', () => {
    const { admission, admit, refusal } = makeObserved({ permitsMax: 100 });
    for (let count = 0; count < 100; count++) admit();
    refusal();
    expect(admission.inFlight).toBe(100);
  });

  test('can take the only permit when nothing else is in flight', () => {
    const { admit } = makeObserved({ permitsMax: 1, countModels: () => 5 });
    admit().release(true);
    admit(1, b);
  });
});

describe('the count of permits', () => {
  type Step =
    | { do: 'admit'; models: string[]; count: number }
    | { do: 'assign'; at: number; model: string; count: number }
    | { do: 'release'; at: number; isScored: boolean };
  const name = fc.constantFrom('a@1', 'b@1', 'c@1');
  const count = fc.integer({ min: 1, max: 4 });
  const at = fc.nat(30);
  const steps = fc.array(
    fc.oneof(
      fc.record({
        do: fc.constant('admit' as const),
        models: fc.uniqueArray(name, { minLength: 1 }),
        count,
      }),
      fc.record({ do: fc.constant('assign' as const), at, model: name, count }),
      fc.record({ do: fc.constant('release' as const), at, isScored: fc.boolean() }),
    ),
    { maxLength: 80 },
  ) as fc.Arbitrary<Step[]>;

  test('is exact after any sequence of requests, assignments, refusals and releases', () => {
    fc.assert(
      fc.property(steps, (taken) => {
        const { admission } = makeObserved({ permitsMax: 12, countModels: () => 3 });
        const held: { permit: Permit; model: string | undefined; count: number }[] = [];
        const orRefused = (action: () => void) => {
          try {
            action();
          } catch (error) {
            expect(error).toMatchObject({ code: 'overloaded' });
          }
        };
        for (const step of taken) {
          if (step.do === 'admit') {
            const { models, count } = step;
            orRefused(() => {
              const permit = admission.admit(models.map((queue) => request(count, { queue })));
              held.push({ permit, model: models.length === 1 ? models[0] : undefined, count });
            });
          } else if (held.length > 0) {
            const one = held[step.at % held.length] as (typeof held)[number];
            if (step.do === 'release') {
              one.permit.release(step.isScored);
              held.splice(held.indexOf(one), 1);
            } else {
              orRefused(() => {
                one.permit.assign([request(step.count, { queue: step.model })]);
                Object.assign(one, { model: step.model, count: step.count });
              });
            }
          }
          const sumOf = (queue?: string) =>
            held
              .filter(({ model }) => queue === undefined || model === queue)
              .reduce((sum, { count }) => sum + count, 0);
          expect(admission.inFlight).toBe(sumOf());
          expect(admission.inFlight).toBeLessThanOrEqual(12);
          for (const queue of ['a@1', 'b@1', 'c@1']) {
            expect(admission.traffic(queue).inFlight).toBe(sumOf(queue));
          }
        }
      }),
    );
  });
});

describe('Retry-After', () => {
  test('is the time to answer everything in flight at the measured rate', () => {
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

  test('is the time since the last answer, while the rate is unknown', () => {
    const { admit, clock, refusal } = makeObserved({ permitsMax: 5 });
    admit(5);
    clock.ms += 12_000;
    expect(refusal().retryAfterSeconds).toBe(12);
  });

  test('includes the inputs that other instances have in flight', () => {
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

describe('bulk', () => {
  const bulk = { priority: 'bulk' } as const;
  const noHurry = { deadlineMs: 3_600_000 };

  /** Holds bulk inputs and lets workers answer some of them, so bulk has to wait for long. */
  function makeFlooded() {
    const observed = makeObserved({ permitsMax: 1000 });
    const { admit, clock } = observed;
    const held = Array.from({ length: 400 }, () => admit(1, { ...bulk, ...noHurry }));
    for (let count = 0; count < 20; count++) {
      clock.ms += 100;
      held.shift()?.release(true);
      held.push(admit(1, { ...bulk, ...noHurry }));
    }
    return observed;
  }

  test('that has to wait for long is refused, and interactive requests are not', () => {
    const { admit, refusal } = makeFlooded();
    expect(refusal(1, { ...bulk, deadlineMs: 30_000 }).reason).toBe('wait_too_long');
    admit(1, { deadlineMs: 30_000 });
    admit(8, { deadlineMs: 100 });
  });

  test('does not make the wait of interactive inputs look longer', () => {
    const { admission } = makeFlooded();
    expect(admission.drainMs('a@1')).toBe(0);
  });

  test('that fills the queue refuses bulk only', () => {
    const admission = new Admission({
      permitsMax: 10,
      callerShare: 1,
      itemsMax: 100,
      unansweredIn: (_queue, priority) => (priority === 'bulk' ? 100 : 0),
      countModels: () => 1,
      peers: { inFlight: () => 0, msFor: () => undefined },
      now: () => 0,
    });
    expect(errorOf(() => admission.admit([request(1, bulk)])).reason).toBe('queue_full');
    admission.admit([request()]);
  });

  test('leaves as many permits free as it takes', () => {
    const { admission, admit, refusal } = makeObserved({ permitsMax: 10 });
    const held = Array.from({ length: 5 }, () => admit(1, bulk));
    expect(refusal(1, bulk).reason).toBe('bulk_share');
    expect(refusal(1, { ...bulk, queue: 'b@1' }).reason).toBe('bulk_share');
    admit(5);
    held[0]?.release(false);
    expect(admission.inFlight).toBe(9);
  });

  test('may take more permits in one request, if there is no other bulk', () => {
    const { admit, refusal } = makeObserved({ permitsMax: 10 });
    admit(9, bulk);
    expect(refusal(1, bulk).reason).toBe('bulk_share');
    admit(1);
  });
});

describe('a caller with a share', () => {
  const [one, other] = [{ caller: 'one' }, { caller: 'other' }];

  test('holds as many permits as its share, and leaves the others to the next caller', () => {
    const { admit, refusal } = makeObserved({ permitsMax: 10 });
    const held = Array.from({ length: 5 }, () => admit(1, one));
    expect(refusal(1, one)).toMatchObject({ code: 'overloaded', reason: 'caller_share' });
    admit(5, other);
    held[0]?.release(true);
    admit(1, one);
  });

  test('leaves room for others in what one of several models may have', () => {
    const { admit, refusal } = makeObserved({ permitsMax: 16, countModels: () => 2 });
    admit(4, one);
    expect(refusal(1, one).reason).toBe('caller_share');
    admit(4, other);
    admit(1, { ...one, queue: 'b@1' });
  });

  test('has as much of all models together as of one alone', () => {
    const { admit, refusal } = makeObserved({ permitsMax: 100, countModels: () => 5 });
    for (const queue of ['a@1', 'b@1', 'c@1', 'd@1']) admit(12, { ...one, queue });
    expect(refusal(3, { ...one, queue: 'e@1' }).reason).toBe('caller_share');
    admit(3, { ...other, queue: 'e@1' });
  });

  test('may have one request that needs more', () => {
    const { admit, refusal } = makeObserved({ permitsMax: 10 });
    const permit = admit(8, one);
    expect(refusal(1, one).reason).toBe('caller_share');
    permit.assign([request(9, one)]);
    permit.release(true);
    admit(1, one);
  });

  test('is anybody where nobody is known', () => {
    const { admit } = makeObserved({ permitsMax: 10 });
    for (let count = 0; count < 10; count++) admit();
  });
});
