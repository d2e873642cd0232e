// Percentiles from the buckets of histograms.

/**
 * Returns the value below which this share of a histogram's values lies; undefined if it has none. As
 * Prometheus does, it takes the values to be spread evenly in their bucket.
 * @param buckets upper bounds in order, the last one infinity, each with the count of values up to it
 */
export function percentileOf(
  buckets: readonly (readonly [bound: number, count: number])[],
  share: number,
): number | undefined {
  const total = buckets.at(-1)?.[1] ?? 0;
  if (total <= 0) return undefined;
  const rank = share * total;
  let below: readonly [bound: number, count: number] = [0, 0];
  for (const [bound, count] of buckets) {
    if (count >= rank) {
      if (!Number.isFinite(bound) || count === below[1]) return below[0];
      return below[0] + (bound - below[0]) * ((rank - below[1]) / (count - below[1]));
    }
    below = [bound, count];
  }
  return below[0];
}
