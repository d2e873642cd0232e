// Numbers as people read them.

export function ms(value: number): string {
  if (value < 9.95) return `${value.toFixed(1)} ms`;
  if (value < 1000) return `${Math.round(value)} ms`;
  return `${Number((value / 1000).toFixed(value < 10_000 ? 2 : 1))} s`;
}

export function percent(share: number): string {
  const value = share * 100;
  if (value > 0 && value < 0.1) return '< 0.1 %';
  return `${value.toFixed(value >= 99.95 || value === 0 ? 0 : 1)} %`;
}

export function number(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (value !== 0 && (Math.abs(value) < 1e-4 || Math.abs(value) >= 1e9))
    return value.toExponential(4);
  return value.toLocaleString('en', { maximumSignificantDigits: 7 });
}
