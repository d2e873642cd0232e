// Asks a Prometheus for the panels of the dashboard, and draws them as an SVG. docs/dashboard.svg came from here.

import { writeFileSync } from 'node:fs';
import { type Panel, sections } from '../monitoring/panels.js';
import { drawDashboard, type Line } from '../monitoring/picture.js';
import { describeFetchFailure } from '../shared/fetch-failure.js';
import { toUrl } from './addresses.js';
import { parseArguments } from './arguments.js';
import { runCommand } from './command.js';
import { toNumber } from './numbers.js';
import { requireWritableFile } from './writable.js';

const usage =
  'Usage: npm run dashboard -- --out FILE [--prometheus URL] [--minutes N] [--title TEXT]';

const pointsMax = 200;

/** What Grafana would put in. */
const variables: Readonly<Record<string, string>> = {
  cluster: '.*',
  namespace: '.*',
  job: '.*',
  model: '.*',
  api_price: '0.05',
  worker_price: '0.10',
};

interface Answer {
  readonly error?: string;
  /** Not there if something else than Prometheus has answered. */
  readonly data?: {
    readonly result: {
      readonly metric: Readonly<Record<string, string>>;
      readonly values: readonly (readonly [number, string])[];
    }[];
  };
}

await runCommand(usage, async () => {
  const { values: options } = parseArguments({
    options: {
      out: { type: 'string' },
      prometheus: { type: 'string', default: 'http://127.0.0.1:9090' },
      minutes: { type: 'string', default: '30' },
      title: { type: 'string', default: 'Scoreline' },
    },
  });
  if (options.out === undefined) throw new Error('--out: expected the name of a file; got nothing');
  requireWritableFile('--out', options.out);
  const seconds = toNumber('minutes', options.minutes, { min: 1 }) * 60;
  const prometheus = toUrl('prometheus', options.prometheus);
  const to = Math.floor(Date.now() / 1000);
  const span = { from: to - seconds, to };
  const lines = new Map<Panel, readonly Line[]>();
  for (const panel of sections.flatMap((section) => section.panels)) {
    lines.set(panel, await readPanel(prometheus, panel, span));
  }
  writeFileSync(
    options.out,
    drawDashboard(options.title, span, (panel) => lines.get(panel) ?? []),
  );
});

/** Returns an empty answer if what answers is no JSON. */
async function ask(url: URL): Promise<Answer> {
  const response = await fetch(url).catch((thrown: unknown) => {
    throw new Error(`${url.origin} does not answer: ${describeFetchFailure(thrown)}`);
  });
  return (await response.json().catch(() => ({}))) as Answer;
}

async function readPanel(
  prometheus: string,
  { queries }: Panel,
  span: { from: number; to: number },
): Promise<Line[]> {
  const step = Math.max(1, Math.ceil((span.to - span.from) / pointsMax));
  const all = { ...variables, __rate_interval: `${Math.max(10, 2 * step)}s` };
  const lines: Line[] = [];
  for (const { expr, legend } of queries) {
    const url = new URL('/api/v1/query_range', prometheus);
    url.search = new URLSearchParams({
      query: expr.replace(/\$(\w+)/g, (_, name) => all[name as keyof typeof all] ?? ''),
      start: String(span.from),
      end: String(span.to),
      step: String(step),
    }).toString();
    const { error, data } = await ask(url);
    if (error !== undefined) throw new Error(`${error}: ${expr}`);
    if (!data) throw new Error(`${prometheus}: expected Prometheus; something else answers there`);
    for (const { metric, values } of data.result) {
      lines.push({
        legend: legend.replace(/\{\{(\w+)\}\}/g, (_, label) => metric[label] ?? ''),
        points: values
          .map(([at, value]) => [at, Number(value)] as const)
          .filter(([, value]) => Number.isFinite(value)),
      });
    }
  }
  return lines;
}
