// The clock for times that travel between machines. Deadlines and submission times are times of
// day, because monotonic clocks differ from process to process.
//
// The clocks of machines differ as well, so this is the clock of Redis, which all processes share:
// the clock of the machine, corrected by what it is ahead (redis/clock.ts).

let clockOriginMs = performance.timeOrigin;
let aheadMs = 0;

/** Returns the time now by the common clock, in milliseconds since the epoch, with fractions. */
export function nowMs(): number {
  return machineNowMs() - aheadMs;
}

/**
 * Returns the time now by the clock of the machine. If somebody sets that clock, this follows within
 * 2 ms; the process's monotonic clock would not.
 */
export function machineNowMs(): number {
  const wallMs = Date.now();
  const monotonicMs = performance.now();
  if (Math.abs(clockOriginMs + monotonicMs - wallMs) > 2) clockOriginMs = wallMs - monotonicMs;
  return clockOriginMs + monotonicMs;
}

/** Sets how many milliseconds the clock of the machine is ahead of the common one. */
export function correctClock(machineAheadMs: number): void {
  aheadMs = machineAheadMs;
}
