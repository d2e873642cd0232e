// Draws the results of `bench -- peers` as bars: requests a second of each server, for each scenario
// and number of model processes that was measured in this clone.

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { packageDirectory } from '../../shared/version.js';

export interface PeersResult {
  readonly scenario: string;
  readonly workers: number;
  readonly rows: readonly PeersRow[];
}

interface PeersRow {
  readonly clients: number;
  readonly server: string;
  readonly 'requests/s': number;
}

const folder = path.join(packageDirectory(), 'data/bench/peers');
const width = 720;
const barHeight = 18;
const labelWidth = 150;
const panelSpace = 44;

/** Keeps a result for later plots, in place of an earlier one of the same kind. */
export function keepResult(result: PeersResult): void {
  mkdirSync(folder, { recursive: true });
  const file = `${result.scenario}-${result.workers}.json`;
  writeFileSync(path.join(folder, file), JSON.stringify(result));
}

/** Writes the plot of all results that are kept. */
export function drawPlot(file: string): void {
  const kept = existsSync(folder) ? readdirSync(folder) : [];
  const results = kept
    .map((name): PeersResult => JSON.parse(readFileSync(path.join(folder, name), 'utf8')))
    .toSorted((a, b) => b.scenario.localeCompare(a.scenario) || a.workers - b.workers);
  let top = 0;
  const panels = results.map((result) => {
    const panel = drawPanel(result, top);
    top += panel.height;
    return panel.svg;
  });
  writeFileSync(
    file,
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${top}" font-family="sans-serif" font-size="12">
<title>Requests a second of each server</title>
<rect width="${width}" height="${top}" fill="#ffffff"/>
${panels.join('\n')}
</svg>
`,
  );
}

function drawPanel({ scenario, workers, rows }: PeersResult, top: number) {
  const most = Math.max(...rows.map(({ clients }) => clients));
  const bars = rows
    .filter(({ clients }) => clients === most)
    .toSorted((a, b) => b['requests/s'] - a['requests/s']);
  const scale = (width - labelWidth - 80) / Math.max(...bars.map((bar) => bar['requests/s']));
  const processes = workers === 1 ? 'one model process' : `${workers} model processes`;
  const title = `<text x="8" y="${top + 24}" font-weight="bold">${scenario}, ${processes}: requests a second at ${most} clients</text>`;
  const lines = bars.map(({ server, 'requests/s': value }, index) => {
    const y = top + 36 + index * (barHeight + 4);
    const colour = server === 'Scoreline' ? '#0b6e4f' : '#8a9ba8';
    const length = Math.max(1, Math.round(value * scale));
    return `<text x="${labelWidth - 8}" y="${y + 13}" text-anchor="end">${server}</text><rect x="${labelWidth}" y="${y}" width="${length}" height="${barHeight}" fill="${colour}"/><text x="${labelWidth + length + 6}" y="${y + 13}">${value}</text>`;
  });
  const height = bars.length * (barHeight + 4) + panelSpace;
  return { svg: [title, ...lines].join('\n'), height };
}
