// Numbers as people read them.

export function ms(value: number): string {
  if (value < 9.95) return `${value.toFixed(1)} ms`;
  if (value < 999.5) return `${Math.round(value)} ms`;
  return `${Number((value / 1000).toFixed(value < 10_000 ? 2 : 1))} s`;
}

/** Only all is 100 %, and only nothing is 0 %. */
export function percent(share: number): string {
  const value = share * 100;
  if (value > 0 && value < 0.1) return '< 0.1 %';
  if (value >= 99.95 && value < 100) return '> 99.9 %';
  return `${value.toFixed(value === 100 || value === 0 ? 0 : 1)} %`;
}

/** Returns how to write scores: as percentages, unless some are no shares, such as logits. */
export function scoreWriter(scores: readonly number[]): (score: number) => string {
  return areShares(scores) ? percent : exact;
}

export function areShares(scores: readonly number[]): boolean {
  return scores.every((score) => score >= 0 && score <= 1);
}

/** A number with all its digits and nothing between them, as the service writes it in JSON. */
export function exact(value: number | bigint): string {
  return Object.is(value, -0) ? '-0' : String(value);
}

/** A figure of a chart. */
export function rounded(value: number, digits = 0): string {
  return value.toLocaleString('en', { maximumFractionDigits: digits });
}
