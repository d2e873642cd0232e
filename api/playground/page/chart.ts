// A small chart of some series over the same seconds.

import { drawing, element } from './element.js';
import type { Column } from './live.js';

const width = 300;
const height = 72;

export interface Line {
  readonly name: string;
  readonly column: Column;
  /** Of the style: how it is drawn. */
  readonly look?: 'strong' | 'middle' | 'faint' | 'danger';
}

export interface Chart {
  readonly node: HTMLElement;
  /** @param entriesMax how many entries the width has room for; fewer stand at the right */
  show(lines: readonly Line[], entriesMax: number): void;
}

export function makeChart(options: {
  readonly title: string;
  readonly unit: string;
  readonly write: (value: number) => string;
}): Chart {
  const { title, unit, write } = options;
  const now = element('p', { class: 'chart-now' }, '–');
  const legend = element('p', { class: 'chart-legend small muted' });
  const top = element('span', { class: 'chart-top small muted' });
  const picture = drawing('svg', {
    ...{ viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', role: 'img' },
  });
  const node = element(
    'section',
    { class: 'chart card', 'aria-label': title },
    element('div', { class: 'row spread' }, element('h2', {}, title), top),
    now,
    element('div', { class: 'chart-picture' }, picture),
    legend,
  );
  return {
    node,
    show(lines, entriesMax) {
      const values = lines.flatMap(({ column }) => column.filter((value) => value !== null));
      const max = niceAbove(Math.max(...values, 0));
      picture.replaceChildren(
        ...lines.toReversed().flatMap((line) => drawLine(line, max, entriesMax)),
      );
      const told = lines.map(({ name, column }) => {
        const last = column.at(-1);
        return { name, text: last === null || last === undefined ? '–' : write(last) };
      });
      now.textContent = `${told[0]?.text ?? '–'} `;
      now.append(element('span', { class: 'small muted' }, unit));
      legend.textContent = told
        .slice(1)
        .map(({ name, text }) => `${name} ${text}`)
        .join(' · ');
      top.textContent = values.length > 0 ? `up to ${write(max)}` : '';
      const said = told.map(({ name, text }) => `${name}: ${text}`).join(', ');
      picture.setAttribute(
        'aria-label',
        `${title}. Now ${said}. At most ${write(Math.max(...values, 0))}.`,
      );
    },
  };
}

/** Returns a round number that the values fit under. */
function niceAbove(max: number): number {
  if (max <= 1) return 1;
  const step = 10 ** Math.floor(Math.log10(max));
  return [1, 2, 5, 10].map((factor) => factor * step).find((nice) => nice >= max) ?? max;
}

/** What nobody knows is a gap. */
function drawLine({ column, look = 'strong' }: Line, max: number, entriesMax: number): Element[] {
  const step = width / Math.max(entriesMax - 1, 1);
  const left = width - (column.length - 1) * step;
  const pieces: string[] = [];
  let isDown = false;
  for (const [at, value] of column.entries()) {
    if (value !== null) {
      const x = (left + at * step).toFixed(1);
      const y = (height - 1 - (value / max) * (height - 4)).toFixed(1);
      pieces.push(`${isDown ? 'L' : 'M'}${x} ${y}`);
      if (!isDown && (column[at + 1] ?? null) === null) pieces.push('h0.01');
    }
    isDown = value !== null;
  }
  return [drawing('path', { d: pieces.join(''), class: `line is-${look}` })];
}
