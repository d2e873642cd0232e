// Flights: shared work that several calls wait for.
//
// The first call with a name starts a flight, and calls with the same name join it until it lands. Each call
// waits until the flight lands or its own ending comes, whichever is first. If a flight ends only because the call
// that started it left or ran out of time, another one that waits starts it again.
//
// Invariant: each name has at most one flight at a time.

import { nowMs } from '../../shared/clock.js';
import { ScorelineError } from '../../shared/errors.js';
import type { Call } from '../call/call.js';

/** How many requests with one key may wait at a time. No caller has reason to send more. */
const keyWaitersMax = 16;

export type Waiting = Pick<Call, 'deadlineAt' | 'ending'>;

interface Flight<T> {
  readonly landing: Promise<T>;
  readonly deadlineAt: number;
  waiters: number;
}

export function makeFlights<T>({ waitersMax = keyWaitersMax } = {}) {
  const flights = new Map<string, Flight<T>>();

  const depart = (name: string, deadlineAt: number, start: () => Promise<T>): Flight<T> => {
    const landing = start().finally(() => flights.delete(name));
    // All waiters may have left, so nobody might handle a rejection.
    landing.catch(() => {});
    const flight = { landing, deadlineAt, waiters: 0 };
    flights.set(name, flight);
    return flight;
  };

  return {
    /**
     * Resolves with the outcome of the flight with this name. Starts the flight if there is none.
     * @throws ScorelineError `overloaded` when too many calls wait; the reason of the call's ending; the
     * flight's own error
     */
    async join(name: string, call: Waiting, start: () => Promise<T>): Promise<T> {
      for (;;) {
        if (call.ending.reason) throw call.ending.reason;
        const flight = flights.get(name) ?? depart(name, call.deadlineAt, start);
        try {
          return await waitFor(flight, call, waitersMax);
        } catch (error) {
          if (!isOfStarter(error, flight, call)) throw error;
        }
      }
    },
    get size(): number {
      return flights.size;
    },
  };
}

/** Whether a flight ended only because of the call that started it, and this call has time left. */
function isOfStarter<T>(error: unknown, flight: Flight<T>, call: Waiting): boolean {
  if (!(error instanceof ScorelineError) || call.ending.reason) return false;
  if (error.code === 'client_closed') return true;
  const isLate = error.code === 'deadline_exceeded';
  return isLate && call.deadlineAt > Math.max(nowMs(), flight.deadlineAt);
}

async function waitFor<T>(flight: Flight<T>, call: Waiting, waitersMax: number): Promise<T> {
  if (flight.waiters >= waitersMax) throw tooManyWaiters(waitersMax);
  flight.waiters++;
  try {
    return await call.ending.orEnd(flight.landing);
  } finally {
    flight.waiters--;
  }
}

function tooManyWaiters(waitersMax: number): ScorelineError {
  return new ScorelineError(
    'overloaded',
    `Expected at most ${waitersMax} requests at a time with one Idempotency-Key; there are as many already. Ask again after the time in Retry-After.`,
    { retryAfterSeconds: 1, reason: 'repeats' },
  );
}
