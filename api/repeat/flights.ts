// Flights: work that several requests wait for together.
//
// The first request starts a flight, and those of the same name that come meanwhile join it. A
// flight belongs to none of them: it goes on when they leave. Each waits until the flight lands,
// until its own deadline, or until its client has hung up, whichever is first.
//
// Invariant: there is one flight of a name at a time.

import { nowMs } from '../../shared/clock.js';
import { ScorelineError } from '../../shared/errors.js';
import { clientClosed, deadlineExceeded } from '../queue/waiters.js';

/** More requests at a time than a caller has reason to send with one key. */
const waitersMax = 16;

export interface Waiter {
  readonly deadlineAt: number;
  /** Aborted when the client hangs up. */
  readonly left: AbortSignal;
}

export interface Flights<T> {
  /**
   * What comes of the flight of this name, which is started where there is none.
   * @throws ScorelineError `client_closed`, `deadline_exceeded`, `overloaded`, and what it ends with
   */
  join(name: string, waiter: Waiter, start: () => Promise<T>): Promise<T>;
  readonly size: number;
}

interface Flight<T> {
  readonly landing: Promise<T>;
  readonly deadlineAt: number;
  waiters: number;
}

export function makeFlights<T>(): Flights<T> {
  const flights = new Map<string, Flight<T>>();

  const depart = (name: string, deadlineAt: number, start: () => Promise<T>): Flight<T> => {
    const landing = start().finally(() => flights.delete(name));
    // Its waiters may all have left.
    landing.catch(() => {});
    const flight = { landing, deadlineAt, waiters: 0 };
    flights.set(name, flight);
    return flight;
  };

  return {
    async join(name, waiter, start) {
      for (;;) {
        if (waiter.left.aborted) throw clientClosed();
        const flight = flights.get(name) ?? depart(name, waiter.deadlineAt, start);
        try {
          return await waitFor(flight, waiter);
        } catch (error) {
          if (!hasTimeLeft(error, flight, waiter)) throw error;
        }
      }
    },
    get size() {
      return flights.size;
    },
  };
}

/** A flight that has ended at the deadline of who started it has not failed for who can wait longer. */
function hasTimeLeft<T>(error: unknown, flight: Flight<T>, waiter: Waiter): boolean {
  const isLate = error instanceof ScorelineError && error.code === 'deadline_exceeded';
  return isLate && waiter.deadlineAt > Math.max(nowMs(), flight.deadlineAt);
}

async function waitFor<T>(flight: Flight<T>, { deadlineAt, left }: Waiter): Promise<T> {
  if (flight.waiters >= waitersMax) throw tooManyWaiters();
  flight.waiters++;
  let leave: (error: ScorelineError) => void = () => {};
  const gone = new Promise<never>((_resolve, reject) => {
    leave = reject;
  });
  const hangUp = () => leave(clientClosed());
  left.addEventListener('abort', hangUp);
  // At the flight's own deadline it says itself what became of it.
  const timer =
    deadlineAt < flight.deadlineAt
      ? setTimeout(() => leave(deadlineExceeded()), Math.max(0, deadlineAt - nowMs()))
      : undefined;
  try {
    return await Promise.race([flight.landing, gone]);
  } finally {
    flight.waiters--;
    left.removeEventListener('abort', hangUp);
    clearTimeout(timer);
  }
}

function tooManyWaiters(): ScorelineError {
  return new ScorelineError(
    'overloaded',
    `Expected at most ${waitersMax} requests at a time with one Idempotency-Key; there are as many. Ask again after the time in Retry-After.`,
    { retryAfterSeconds: 1 },
  );
}
