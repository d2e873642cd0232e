// The time of a batch by its size, from the sizes that were measured. Between two of them it is on the
// straight line.

export interface BatchTime {
  /** The largest size that was measured. */
  readonly sizeMax: number;
  msFor(size: number): number;
}

/** @param measuredMs by size, as text: the time of a batch */
export function makeBatchTime(measuredMs: Readonly<Record<string, number>>): BatchTime {
  const measured = Object.entries(measuredMs)
    .map(([size, ms]) => ({ size: Number(size), ms }))
    .toSorted((a, b) => a.size - b.size);
  const sizeMax = measured.at(-1)?.size ?? 0;
  const times = Array.from({ length: sizeMax + 1 }, (_, size) => interpolate(measured, size));
  return { sizeMax, msFor: (size) => times[size] as number };
}

function interpolate(
  measured: readonly { readonly size: number; readonly ms: number }[],
  size: number,
): number {
  const next = measured.findIndex((point) => point.size >= size);
  const [before, after] = [measured[next - 1], measured[next]];
  if (!after) throw new Error(`Expected a size that was measured; got ${size}. This is a bug.`);
  if (!before) return after.ms;
  const share = (size - before.size) / (after.size - before.size);
  return before.ms + share * (after.ms - before.ms);
}
