// Draws the dashboard as an SVG, from the answers of a Prometheus to the queries of its panels. It is not
// Grafana's picture, but shows the same series.

import { type Panel, type Section, sections } from './panels.js';

/** One line of a panel: seconds since the epoch, and values. */
export interface Line {
  readonly legend: string;
  readonly points: readonly (readonly [atSeconds: number, value: number])[];
}

export type LinesOf = (panel: Panel) => readonly Line[];

interface Span {
  readonly from: number;
  readonly to: number;
}

interface Place {
  readonly x: number;
  readonly y: number;
}

const columns = 3;
const width = 380;
const chartHeight = 96;
const legendHeight = 40;
const panelHeight = 30 + chartHeight + legendHeight + 16;
const sectionHeight = 30;
const left = 52;
const chartWidth = width - left - 16;
const linesMax = 6;
const colours = ['#0b6e4f', '#b3541e', '#5b5ea6', '#c2185b', '#8a6d00', '#0277bd'];

/** @param title says where the data came from */
export function drawDashboard(title: string, span: Span, linesOf: LinesOf): string {
  let y = 40;
  const parts = sections.map((section) => {
    const drawn = drawSection(section, y, span, linesOf);
    y += sectionHeight + Math.ceil(section.panels.length / columns) * panelHeight;
    return drawn;
  });
  const whole = columns * width;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${whole} ${y}" font-family="sans-serif" font-size="11">
<title>${escapeText(title)}</title>
<rect width="${whole}" height="${y}" fill="#ffffff"/>
<text x="12" y="26" font-size="14" font-weight="bold">${escapeText(title)}</text>
${parts.join('\n')}
</svg>
`;
}

function drawSection(section: Section, top: number, span: Span, linesOf: LinesOf): string {
  const panels = section.panels.map((panel, index) => {
    const x = (index % columns) * width;
    const y = top + sectionHeight + Math.floor(index / columns) * panelHeight;
    return drawPanel(panel, linesOf(panel), { x, y }, span);
  });
  const head = `<text x="12" y="${top + 20}" font-size="13" fill="#555">${escapeText(section.title)}</text>`;
  return [head, ...panels].join('\n');
}

function drawPanel(panel: Panel, all: readonly Line[], { x, y }: Place, span: Span): string {
  const shown = busiest(all);
  const lines = panel.isStacked ? stack(shown) : shown;
  const values = lines.flatMap(({ points }) => points.map(([, value]) => value));
  const most = Math.max(...values, 0) || 1;
  const bottom = y + 30 + chartHeight;
  const toPoint = ([at, value]: readonly [number, number]) => {
    const right = x + left + ((at - span.from) / (span.to - span.from)) * chartWidth;
    return `${right.toFixed(1)},${(bottom - (value / most) * chartHeight).toFixed(1)}`;
  };
  const curves = lines.flatMap(({ points }, index) =>
    withoutGaps(points).map(
      (part) =>
        `<polyline fill="none" stroke="${colourOf(index)}" stroke-width="1.3" points="${part.map(toPoint).join(' ')}"/>`,
    ),
  );
  const legend = shown.map(
    ({ legend: text }, index) =>
      `<text x="${x + left + (index % 2) * 160}" y="${bottom + 16 + Math.floor(index / 2) * 13}" font-size="10" fill="${colourOf(index)}">${escapeText(text.slice(0, 30))}</text>`,
  );
  return [
    `<text x="${x + 12}" y="${y + 16}" font-weight="bold">${escapeText(panel.title)}</text>`,
    `<line x1="${x + left}" y1="${bottom}" x2="${x + left + chartWidth}" y2="${bottom}" stroke="#d0d7dc"/>`,
    ...(values.length > 0
      ? [
          `<text x="${x + left - 5}" y="${bottom - chartHeight + 9}" text-anchor="end">${showValue(most, panel.unit)}</text>`,
        ]
      : []),
    `<text x="${x + left - 5}" y="${bottom}" text-anchor="end">0</text>`,
    ...curves,
    ...legend,
  ].join('\n');
}

/** Leaves out lines that are always 0 where others are not, and those for which there is no room. */
function busiest(lines: readonly Line[]): readonly Line[] {
  const peakOf = ({ points }: Line) => Math.max(0, ...points.map(([, value]) => value));
  const busy = lines.filter((line) => peakOf(line) > 0);
  const kept = busy.length > 0 ? busy : lines.slice(0, 1);
  return kept.toSorted((a, b) => peakOf(b) - peakOf(a)).slice(0, linesMax);
}

/** Divides a line where values are missing. */
function withoutGaps(points: Line['points']): Line['points'][] {
  const steps = points.slice(1).map(([at], index) => at - (points[index]?.[0] ?? at));
  const step = Math.min(...steps);
  const parts: (readonly [number, number])[][] = [];
  for (const [index, point] of points.entries()) {
    const before = steps[index - 1];
    if (before === undefined || before > 1.5 * step) parts.push([]);
    parts.at(-1)?.push(point);
  }
  return parts;
}

/** Puts each line on top of those before it, at the times that it has. */
function stack(lines: readonly Line[]): Line[] {
  const heights = new Map<number, number>();
  return lines.map(({ legend, points }) => ({
    legend,
    points: points.map(([at, value]) => {
      const height = (heights.get(at) ?? 0) + value;
      heights.set(at, height);
      return [at, height] as const;
    }),
  }));
}

function colourOf(index: number): string {
  return colours[index % colours.length] as string;
}

function showValue(value: number, unit: Panel['unit']): string {
  if (unit === 'percentunit') return `${(value * 100).toFixed(0)} %`;
  if (unit === 'bytes') return `${(value / 2 ** 20).toFixed(1)} MiB`;
  if (unit === 's') {
    return value >= 1 ? `${value.toFixed(1)} s` : `${Number((value * 1000).toPrecision(2))} ms`;
  }
  const text = value >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(2)));
  return unit === 'currencyUSD' ? `$ ${text}` : text;
}

function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
