// Draws a trace as it arrived: one line a span, below its parent, with when it began and how long it took.

import type { ReceivedSpan } from './received.js';

/** @param spans those of one trace, and the batches that they are linked to */
export function drawTrace(spans: readonly ReceivedSpan[]): string {
  const ids = new Set(spans.map(({ spanId }) => spanId));
  const inOrder = spans.toSorted((a, b) => a.startAt - b.startAt || b.ms - a.ms);
  const roots = inOrder.filter(({ parentId }) => parentId === undefined || !ids.has(parentId));
  const [first] = roots;
  const lines: [text: string, span: ReceivedSpan][] = [];
  const add = (span: ReceivedSpan, indent: string, branch: string) => {
    lines.push([`${indent}${branch}${span.name}`, span]);
    const children = inOrder.filter(({ parentId }) => parentId === span.spanId);
    const below = indent + (branch === '' ? '' : branch === '└─ ' ? '   ' : '│  ');
    for (const [at, child] of children.entries()) {
      add(child, below, at === children.length - 1 ? '└─ ' : '├─ ');
    }
  };
  for (const root of roots) add(root, '', '');
  const width = Math.max(...lines.map(([text]) => text.length)) + 2;
  return lines
    .map(([text, span]) => {
      const at = (span.startAt - (first as ReceivedSpan).startAt).toFixed(1).padStart(8);
      const links = span.links.map((id) => spans.find(({ spanId }) => spanId === id)?.name);
      const linked = links.length > 0 ? `  ⇄ ${links.join(', ')}` : '';
      return `${text.padEnd(width)}${span.service.padEnd(17)}${at}${span.ms.toFixed(1).padStart(8)}${linked}`;
    })
    .join('\n');
}

/** The drawing without its times: what has to stay the same. */
export function shapeOf(drawing: string): string {
  return drawing.replace(/ +-?\d+\.\d +\d+\.\d/g, '');
}
