// Half-precision numbers (FP16) as their bits. Node 20 has no Float16Array.

/** Converts the bits of a half-precision number. */
export function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/**
 * Returns the bits of the half-precision number that is nearest to a number; of two that are equally
 * near, the even one. A number that is too large becomes infinity.
 */
export function numberToHalf(number: number): number {
  if (Number.isNaN(number)) return 0x7e00;
  const sign = number < 0 || Object.is(number, -0) ? 0x8000 : 0;
  const size = Math.abs(number);
  if (size === Number.POSITIVE_INFINITY) return sign | 0x7c00;
  // The distance between neighbours: below 2 ** -14 it no longer shrinks.
  const exponent = Math.max(Math.floor(Math.log2(size)), -14);
  const steps = roundToEven(size / 2 ** (exponent - 10));
  // Steps that reach the next power of two carry into the exponent, which is the right result.
  const bits = exponent === -14 ? steps : ((exponent + 14) << 10) + steps;
  return sign | Math.min(bits, 0x7c00);
}

function roundToEven(number: number): number {
  const below = Math.floor(number);
  const rest = number - below;
  if (rest !== 0.5) return Math.round(number);
  return below % 2 === 0 ? below : below + 1;
}
