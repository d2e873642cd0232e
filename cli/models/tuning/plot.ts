// Draws what `tune` has measured as an SVG: items a second and the p99 of a run over the batch size, with a line for
// each number of threads.

import type { Cell } from './proposal.js';

const width = 760;
const left = 64;
const chartWidth = width - left - 30;
const chartHeight = 180;
const gap = 56;
const colours = ['#0b6e4f', '#b3541e', '#5b5ea6', '#8a9ba8', '#c0a000'];

interface Chart {
  readonly title: string;
  readonly levelOf: (cell: Cell) => number;
  /** A level that is drawn as a dashed line. */
  readonly mark?: number;
}

/** @param goalMs the longest run with which the goal can be kept */
export function drawTuning(
  name: string,
  cells: readonly Cell[],
  { longestMs, chosen }: { longestMs: number; chosen: Cell },
): string {
  const charts: Chart[] = [
    { title: 'items a second', levelOf: ({ perSecond }) => perSecond },
    { title: 'p99 of a run, ms', levelOf: ({ p99Ms }) => p99Ms, mark: longestMs },
  ];
  const height = 40 + charts.length * (chartHeight + gap);
  const drawn = charts.map((chart, at) =>
    drawChart(chart, { cells, chosen, top: 40 + at * (chartHeight + gap) }),
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">
<title>${name}: batch sizes and threads</title>
<rect width="${width}" height="${height}" fill="#ffffff"/>
<text x="8" y="22" font-weight="bold">${name}: batch sizes and threads; the circle is the choice</text>
${drawn.join('\n')}
</svg>
`;
}

function drawChart(
  { title, levelOf, mark }: Chart,
  { cells, chosen, top }: { cells: readonly Cell[]; chosen: Cell; top: number },
): string {
  const bottom = top + chartHeight;
  const most = Math.max(mark ?? 0, ...cells.map(levelOf));
  const sizes = [...new Set(cells.map(({ batch }) => batch))].toSorted((a, b) => a - b);
  const threads = [...new Set(cells.map((cell) => cell.threads))];
  const x = ({ batch }: Pick<Cell, 'batch'>) =>
    left + (sizes.indexOf(batch) / Math.max(1, sizes.length - 1)) * chartWidth;
  const y = (level: number) => bottom - (level / most) * (chartHeight - 20);
  const lines = threads.map((count, at) => {
    const points = cells
      .filter((cell) => cell.threads === count)
      .map((cell) => `${x(cell).toFixed(1)},${y(levelOf(cell)).toFixed(1)}`);
    const colour = colours[at % colours.length];
    return `<polyline fill="none" stroke="${colour}" stroke-width="1.5" points="${points.join(' ')}"/>
<text x="${left + 130 + at * 90}" y="${top + 8}" fill="${colour}">${count} ${count === 1 ? 'thread' : 'threads'}</text>`;
  });
  const goal =
    mark === undefined
      ? ''
      : `<line x1="${left}" y1="${y(mark).toFixed(1)}" x2="${left + chartWidth}" y2="${y(mark).toFixed(1)}" stroke="#8a9ba8" stroke-dasharray="4"/>
<text x="${left + chartWidth}" y="${(y(mark) - 4).toFixed(1)}" text-anchor="end" fill="#8a9ba8">longest run within the goal</text>`;
  const axis = sizes.map(
    (size) =>
      `<text x="${x({ batch: size }).toFixed(1)}" y="${bottom + 16}" text-anchor="middle">${size}</text>`,
  );
  return [
    `<text x="${left}" y="${top + 8}">${title}</text>`,
    `<line x1="${left}" y1="${bottom}" x2="${left + chartWidth}" y2="${bottom}" stroke="#d0d7dc"/>`,
    `<text x="${left - 6}" y="${(y(most) + 4).toFixed(1)}" text-anchor="end">${most.toPrecision(3)}</text>`,
    `<text x="${left - 6}" y="${bottom}" text-anchor="end">0</text>`,
    `<text x="${left + chartWidth / 2}" y="${bottom + 32}" text-anchor="middle">batch size</text>`,
    ...axis,
    ...lines,
    goal,
    `<circle cx="${x(chosen).toFixed(1)}" cy="${y(levelOf(chosen)).toFixed(1)}" r="5" fill="none" stroke="#000000"/>`,
  ].join('\n');
}
