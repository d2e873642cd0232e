// The time that travels between machines: deadlines and submissions are times of day, since each
// process has a monotonic clock of its own.

let clockOriginMs = performance.timeOrigin;

/**
 * The time now in milliseconds since the epoch, with fractions. It follows the machine's clock when
 * somebody sets that clock, which the process's own monotonic clock does not.
 */
export function nowMs(): number {
  const wallMs = Date.now();
  const monotonicMs = performance.now();
  if (Math.abs(clockOriginMs + monotonicMs - wallMs) > 2) clockOriginMs = wallMs - monotonicMs;
  return clockOriginMs + monotonicMs;
}
