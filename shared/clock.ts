// The clock for times that travel between machines. Deadlines and submission times are times of
// day, because monotonic clocks differ from process to process.

let clockOriginMs = performance.timeOrigin;

/**
 * Returns the time now, in milliseconds since the epoch, with fractions. If somebody sets the
 * machine's clock, it follows within 2 ms; the process's monotonic clock would not.
 */
export function nowMs(): number {
  const wallMs = Date.now();
  const monotonicMs = performance.now();
  if (Math.abs(clockOriginMs + monotonicMs - wallMs) > 2) clockOriginMs = wallMs - monotonicMs;
  return clockOriginMs + monotonicMs;
}
