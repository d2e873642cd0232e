// Flights: work that several calls wait for together.
//
// The first call starts a flight, and calls of the same name that come meanwhile join it. A flight
// belongs to none of them: it goes on when they leave. Each waits until the flight lands or until
// its own signal is aborted, whichever is first.
//
// Invariant: there is one flight of a name at a time.

import { nowMs } from '../../shared/clock.js';
import { ScorelineError } from '../../shared/errors.js';
import type { Call } from '../call.js';

/** More requests at a time than a caller has reason to send with one key. */
const waitersMax = 16;

export type Waiting = Pick<Call, 'deadlineAt' | 'ending'>;

export interface Flights<T> {
  /**
   * Resolves with the outcome of the flight of this name, which is started if there is none.
   * @throws ScorelineError `overloaded`, the reason of the call's signal, and the flight's own error
   */
  join(name: string, call: Waiting, start: () => Promise<T>): Promise<T>;
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
    // All of its waiters may have left.
    landing.catch(() => {});
    const flight = { landing, deadlineAt, waiters: 0 };
    flights.set(name, flight);
    return flight;
  };

  return {
    async join(name, call, start) {
      for (;;) {
        if (call.ending.reason) throw call.ending.reason;
        const flight = flights.get(name) ?? depart(name, call.deadlineAt, start);
        try {
          return await waitFor(flight, call);
        } catch (error) {
          if (!hasTimeLeft(error, flight, call)) throw error;
        }
      }
    },
    get size() {
      return flights.size;
    },
  };
}

/** If a flight ended only because its initiator ran out of time, another waiter starts it again. */
function hasTimeLeft<T>(error: unknown, flight: Flight<T>, call: Waiting): boolean {
  const isLate = error instanceof ScorelineError && error.code === 'deadline_exceeded';
  return isLate && !call.ending.reason && call.deadlineAt > Math.max(nowMs(), flight.deadlineAt);
}

async function waitFor<T>(flight: Flight<T>, call: Waiting): Promise<T> {
  if (flight.waiters >= waitersMax) throw tooManyWaiters();
  flight.waiters++;
  try {
    return await call.ending.orEnd(flight.landing);
  } finally {
    flight.waiters--;
  }
}

function tooManyWaiters(): ScorelineError {
  return new ScorelineError(
    'overloaded',
    `Expected at most ${waitersMax} requests at a time with one Idempotency-Key; there are as many. Ask again after the time in Retry-After.`,
    { retryAfterSeconds: 1 },
  );
}
