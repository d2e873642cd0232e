// Draws runs as an SVG: for each a panel with the items a second, the unanswered items and the workers over
// time.

import type { Run, Sample } from './outcome.js';

const width = 760;
const left = 60;
const chartWidth = width - left - 20;
const chartHeight = 60;
const titleHeight = 30;
const gap = 26;

interface Line {
  readonly label: string;
  readonly colour: string;
  readonly levelOf: (sample: Sample) => number;
}

/** Each chart has a scale of its own, so its lines must share a unit. */
const charts: readonly (readonly Line[])[] = [
  [{ label: 'items a second', colour: '#8a9ba8', levelOf: ({ perSecond }) => perSecond }],
  [{ label: 'unanswered items', colour: '#b3541e', levelOf: ({ unanswered }) => unanswered }],
  [
    { label: 'workers wanted', colour: '#9ccdbb', levelOf: ({ workers }) => workers },
    { label: 'workers ready', colour: '#0b6e4f', levelOf: ({ ready }) => ready },
    { label: 'machines', colour: '#5b5ea6', levelOf: ({ nodes }) => nodes },
  ],
];
const panelHeight = titleHeight + charts.length * (chartHeight + gap) + 24;

export function drawPlot(runs: readonly Run[]): string {
  const height = runs.length * panelHeight;
  const panels = runs.map((run, index) => drawPanel(run, index * panelHeight));
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">
<title>Simulated scaling</title>
<rect width="${width}" height="${height}" fill="#ffffff"/>
${panels.join('\n')}
</svg>
`;
}

function drawPanel({ outcome, samples }: Run, top: number): string {
  const { scenario, model, itemsPerWorker, coolDownSeconds } = outcome;
  const endSeconds = samples.at(-1)?.atSeconds ?? 1;
  const title = `${scenario}: ${model}, ${itemsPerWorker} items a worker, cool-down ${coolDownSeconds} s`;
  const drawn = charts.map((lines, index) =>
    drawChart({ lines, samples, endSeconds, top: top + titleHeight + index * (chartHeight + gap) }),
  );
  const bottom = top + titleHeight + charts.length * (chartHeight + gap);
  return [
    `<text x="8" y="${top + 20}" font-weight="bold">${escapeText(title)}</text>`,
    ...drawn,
    `<text x="${left}" y="${bottom}">0</text>`,
    `<text x="${left + chartWidth}" y="${bottom}" text-anchor="end">${showTime(endSeconds)}</text>`,
  ].join('\n');
}

function drawChart(chart: {
  lines: readonly Line[];
  samples: readonly Sample[];
  endSeconds: number;
  top: number;
}): string {
  const { lines, samples, endSeconds, top } = chart;
  const most = Math.max(1, ...lines.flatMap(({ levelOf }) => samples.map(levelOf)));
  const bottom = top + gap - 8 + chartHeight;
  const curves = lines.map(({ colour, levelOf }) => {
    // Along a straight level, its two ends are enough.
    const level = (index: number) => samples[index] && levelOf(samples[index]);
    const bends = samples.filter(
      (_, index) => level(index - 1) !== level(index) || level(index) !== level(index + 1),
    );
    const points = bends.map((sample) => {
      const x = left + (sample.atSeconds / endSeconds) * chartWidth;
      const y = bottom - (levelOf(sample) / most) * chartHeight;
      return `${x.toFixed(1)},${y.toFixed(1)}`;
    });
    return `<polyline fill="none" stroke="${colour}" stroke-width="1.5" points="${points.join(' ')}"/>`;
  });
  const legend = lines.map(
    ({ label, colour }, index) =>
      `<text x="${left + index * 130}" y="${top + 12}" fill="${colour}">${label}</text>`,
  );
  return [
    `<line x1="${left}" y1="${bottom}" x2="${left + chartWidth}" y2="${bottom}" stroke="#d0d7dc"/>`,
    `<text x="${left - 6}" y="${bottom - chartHeight + 10}" text-anchor="end">${Math.round(most)}</text>`,
    ...legend,
    ...curves,
  ].join('\n');
}

function showTime(seconds: number): string {
  if (seconds >= 7200) return `${(seconds / 3600).toFixed(0)} h`;
  return seconds >= 120 ? `${(seconds / 60).toFixed(0)} min` : `${seconds.toFixed(0)} s`;
}

function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
