// How long things took, in the order in which they happened.

export interface Times {
  readonly rows: readonly { readonly what: string; readonly ms: number }[];
  record(what: string, ms: number): void;
}

export function makeTimes(say: (line: string) => void): Times {
  const rows: { what: string; ms: number }[] = [];
  return {
    rows,
    record(what, ms) {
      rows.push({ what, ms: Math.round(ms) });
      say(`${what}: ${(ms / 1000).toFixed(1)} s`);
    },
  };
}

export function formatTimes({ rows }: Times): string {
  const widest = Math.max(0, ...rows.map(({ what }) => what.length));
  return rows
    .map(({ what, ms }) => `${what.padEnd(widest)} ${(ms / 1000).toFixed(1).padStart(7)} s`)
    .join('\n');
}
