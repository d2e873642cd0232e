import { beforeEach, describe, expect, test, vi } from 'vitest';
import { clientClosed } from '../../api/call/call.js';
import { Ending } from '../../api/call/ending.js';
import { makeFlights, type Waiting } from '../../api/repeat/flights.js';
import { nowMs } from '../../shared/clock.js';
import { ScorelineError } from '../../shared/errors.js';
import { everythingDone, passMs, stopClock } from './clock.js';

interface Started {
  land(value: string): Promise<void>;
  fail(error: Error): Promise<void>;
}

/** Makes a call that ends at its deadline or when its client hangs up. */
function makeWaiter(withinMs: number): Waiting & { leave(): void } {
  const ending = new Ending();
  const timer = setTimeout(() => ending.end(late()), withinMs);
  const leave = () => clearTimeout(timer);
  ending.onEnd(leave);
  return { deadlineAt: nowMs() + withinMs, ending, leave };
}

const late = () => new ScorelineError('deadline_exceeded', 'Late.');

/** Makes flights that the test lands itself. */
function makeObserved() {
  const flights = makeFlights<string>();
  const started: Started[] = [];

  const start = () =>
    new Promise<string>((resolve, reject) => {
      const after = async (done: () => void) => {
        done();
        await everythingDone();
      };
      started.push({
        land: (value) => after(() => resolve(value)),
        fail: (error) => after(() => reject(error)),
      });
    });

  const join = (name = 'a', withinMs = 1000) => {
    const waiter = makeWaiter(withinMs);
    let outcome = 'waiting';
    flights
      .join(name, waiter, start)
      .then(
        (value) => {
          outcome = value;
        },
        (error: ScorelineError) => {
          outcome = error.code;
        },
      )
      .finally(waiter.leave);
    return { hangUp: () => waiter.ending.end(clientClosed()), outcome: () => outcome };
  };

  return { flights, started, join };
}

beforeEach(stopClock);

describe('flights', () => {
  test('are shared by calls with the same name', async () => {
    const { flights, started, join } = makeObserved();
    const waiters = [join(), join(), join()];
    expect(started).toHaveLength(1);
    await started[0]?.land('landed');
    expect(waiters.map((waiter) => waiter.outcome())).toEqual(['landed', 'landed', 'landed']);
    expect(flights.size).toBe(0);
  });

  test('are separate for different names', async () => {
    const { started, join } = makeObserved();
    const [a, b] = [join('a'), join('b')];
    await started[1]?.land('landed');
    expect([a.outcome(), b.outcome()]).toEqual(['waiting', 'landed']);
    expect(started).toHaveLength(2);
  });

  test('are started anew after the last one has landed or failed', async () => {
    const { started, join } = makeObserved();
    join();
    await started[0]?.land('first');
    const second = join();
    await started[1]?.fail(new ScorelineError('queue_unavailable', 'Away.'));
    expect(second.outcome()).toBe('queue_unavailable');
    const third = join();
    await started[2]?.land('third');
    expect(third.outcome()).toBe('third');
  });

  test('fail for all calls that wait', async () => {
    const { started, join } = makeObserved();
    const waiters = [join(), join()];
    await started[0]?.fail(new ScorelineError('overloaded', 'Full.'));
    expect(waiters.map((waiter) => waiter.outcome())).toEqual(['overloaded', 'overloaded']);
    expect(started).toHaveLength(1);
  });

  test('go on when a client hangs up, even the one that started it', async () => {
    const { started, join } = makeObserved();
    const [first, second, third] = [join(), join(), join()];
    first.hangUp();
    third.hangUp();
    await everythingDone();
    expect([first.outcome(), third.outcome()]).toEqual(['client_closed', 'client_closed']);
    await started[0]?.land('landed');
    expect(second.outcome()).toBe('landed');
  });

  test('go on when all clients have hung up, and later calls join them', async () => {
    const { flights, started, join } = makeObserved();
    join().hangUp();
    await everythingDone();
    expect(flights.size).toBe(1);
    const late = join();
    await started[0]?.land('landed');
    expect(late.outcome()).toBe('landed');
    expect(started).toHaveLength(1);
  });

  test('may fail after all clients have hung up, without an unhandled rejection', async () => {
    const { flights, started, join } = makeObserved();
    join().hangUp();
    await started[0]?.fail(new Error('nobody hears this'));
    expect(flights.size).toBe(0);
  });

  test('are not started by a call that has ended already', async () => {
    const { flights, started } = makeObserved();
    const waiter = makeWaiter(1000);
    waiter.ending.end(clientClosed());
    const joined = flights.join('a', waiter, async () => 'never');
    await expect(joined).rejects.toMatchObject({ code: 'client_closed' });
    expect(started).toHaveLength(0);
    expect(flights.size).toBe(0);
  });
});

describe('deadlines', () => {
  test('that are earlier than the flight’s end only the wait of their own call', async () => {
    const { started, join } = makeObserved();
    const first = join('a', 1000);
    const hurried = join('a', 100);
    await passMs(99);
    expect(hurried.outcome()).toBe('waiting');
    await passMs(1);
    expect(hurried.outcome()).toBe('deadline_exceeded');
    expect(first.outcome()).toBe('waiting');
    await started[0]?.land('landed');
    expect(first.outcome()).toBe('landed');
    expect(vi.getTimerCount()).toBe(0);
  });

  test('that are later than the flight’s let a call start a new flight', async () => {
    const { started, join } = makeObserved();
    const first = join('a', 100);
    const patient = join('a', 1000);
    await passMs(100);
    await started[0]?.fail(late());
    expect(first.outcome()).toBe('deadline_exceeded');
    expect(patient.outcome()).toBe('waiting');
    expect(started).toHaveLength(2);
    await started[1]?.land('landed');
    expect(patient.outcome()).toBe('landed');
  });

  test('that have passed let no call start a new flight', async () => {
    const { started, join } = makeObserved();
    const waiters = [join('a', 100), join('a', 100)];
    await passMs(100);
    await started[0]?.fail(late());
    expect(waiters.map((waiter) => waiter.outcome())).toEqual(Array(2).fill('deadline_exceeded'));
    expect(started).toHaveLength(1);
  });
});

test('a flight has a maximum of waiting calls, and a call that leaves makes room', async () => {
  const { started, join } = makeObserved();
  const waiters = Array.from({ length: 16 }, () => join());
  const refused = join();
  await everythingDone();
  expect(refused.outcome()).toBe('overloaded');
  waiters[3]?.hangUp();
  await everythingDone();
  const next = join();
  await started[0]?.land('landed');
  expect(next.outcome()).toBe('landed');
});
