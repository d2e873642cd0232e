// The table of outcomes, for people, and one line of JSON, for programs.

import type { Outcome } from './outcome.js';

export function formatTable(outcomes: readonly Outcome[], currency: string): string {
  const rows = outcomes.map((outcome) => rowOf(outcome, currency));
  const [head = {}] = rows;
  const names = Object.keys(head);
  const widths = names.map((name) =>
    Math.max(name.length, ...rows.map((row) => (row[name] ?? '').length)),
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, index) => cell.padStart(widths[index] ?? 0)).join(' | ')} |`;
  const rule = line(widths.map((width) => '-'.repeat(width)));
  return [line(names), rule, ...rows.map((row) => line(names.map((name) => row[name] ?? '')))].join(
    '\n',
  );
}

export function formatJson(
  outcomes: readonly Outcome[],
  facts: { readonly currency: string; readonly seed: number },
): string {
  return JSON.stringify({ simulation: outcomes, ...facts }, (_key, value) =>
    typeof value === 'number' ? Number(value.toPrecision(6)) : value,
  );
}

function rowOf(outcome: Outcome, currency: string): Record<string, string> {
  const { scenario, itemsPerWorker, coolDownSeconds, items, answered, refused, expired } = outcome;
  return {
    scenario,
    'items a worker': `${itemsPerWorker}`,
    'cool-down': `${coolDownSeconds} s`,
    items: `${items}`,
    answered: `${answered}`,
    refused: `${refused}`,
    late: `${expired}`,
    p50: showMs(outcome.p50Ms),
    p99: showMs(outcome.p99Ms),
    'workers mean, most': `${outcome.workersMean.toFixed(1)}, ${outcome.workersMax}`,
    'first ready': showSeconds(outcome.firstReadySeconds),
    'most ready': showSeconds(outcome.mostReadySeconds),
    'none after': showSeconds(outcome.noneAfterSeconds),
    'worker hours': outcome.workerHours.toFixed(2),
    busy: `${(100 * outcome.busyShare).toFixed(0)} %`,
    'machine hours': outcome.nodeHours.toFixed(2),
    [currency]: outcome.cost.toFixed(2),
  };
}

function showMs(ms: number | undefined): string {
  if (ms === undefined) return '-';
  return ms < 1000 ? `${ms.toFixed(0)} ms` : showSeconds(ms / 1000);
}

function showSeconds(seconds: number | undefined): string {
  return seconds === undefined ? '-' : `${seconds.toFixed(1)} s`;
}
