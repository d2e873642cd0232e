// What `top` shows: lines of text, from readings.

import { stripVTControlCharacters } from 'node:util';
import { isFault } from '../shared/metrics/table.js';
import type { History, Labels, Metrics } from './history.js';
import type { ModelState, Process, Reading } from './service.js';

export type Colour = 'bold' | 'dim' | 'green' | 'red' | 'yellow';
export type Paint = (text: string, colour: Colour) => string;

/** A cell, padded before it is painted. */
interface Cell {
  readonly text: string;
  readonly colour?: Colour | undefined;
}

const unknown = '-';
const scoring = new Set(['reference', 'native', 'inference', 'grpc']);
/** Returns the lines, each as long as it needs to be. */
export function drawLines(
  parts: { reading: Reading; history: History; url: string; events: readonly string[] },
  paint: Paint,
): string[] {
  const { reading, history, url, events } = parts;
  const [api, ...others] = reading.processes;
  const lines = [
    `${paint('scoreline top', 'bold')}  ${clean(url)}  ${new Date().toLocaleTimeString('en-GB')}`,
    describeApis(history),
    '',
    ...drawTable(modelColumns, modelRows(reading, history), paint),
  ];
  if (others.length > 0) {
    lines.push('', ...drawTable(processColumns, others.map(toProcessRow(history)), paint));
  }
  if (api?.fault !== undefined) lines.push('', paint(`No rates: ${clean(api.fault)}`, 'yellow'));
  if (events.length > 0) lines.push('', ...events.map((event) => paint(clean(event), 'yellow')));
  return lines;
}

/** Returns what has changed since the reading before, for people. */
export function findEvents(before: Reading | undefined, now: Reading): string[] {
  if (!before) return [];
  const time = new Date().toLocaleTimeString('en-GB');
  const known = new Map(before.models.map((model) => [nameOf(model), model.workers]));
  const events: string[] = [];
  for (const model of now.models) {
    const workers = known.get(nameOf(model));
    if (workers === undefined) events.push(`${time}  ${nameOf(model)} is served now`);
    else if (workers !== model.workers) {
      events.push(`${time}  ${nameOf(model)}: ${workers} workers, now ${model.workers}`);
    }
  }
  const names = new Set(now.models.map(nameOf));
  for (const name of known.keys()) {
    if (!names.has(name)) events.push(`${time}  ${name} is not served any more`);
  }
  for (const [index, { address, metrics }] of now.processes.entries()) {
    const was = before.processes[index]?.metrics !== undefined;
    if (address === undefined || was === (metrics !== undefined)) continue;
    events.push(`${time}  ${address} ${metrics ? 'answers again' : 'does not answer any more'}`);
  }
  return events;
}

const modelColumns = [
  ...['MODEL', 'WORKERS', 'WAITING', 'OLDEST', 'DRAIN', 'REQ/S', 'REFUSED/S', 'FAILED/S'],
  ...['P50', 'P95', 'P99', 'QUEUE P95', 'RUN P95', 'BATCH'],
];

function modelRows({ models }: Reading, history: History): Cell[][] {
  return models.map((model) => {
    const isOwn = (labels: Labels) =>
      labels.model === model.name && labels.version === model.version;
    const ofCode = (isWanted: (code: string) => boolean) =>
      history.rate('scoreline_requests_total', (labels) => {
        const { route = '', code = '' } = labels;
        return isOwn(labels) && scoring.has(route) && isWanted(code);
      });
    const percentile = (name: string, share: number) =>
      duration(history.percentile(`scoreline_${name}_seconds`, share, isOwn));
    const oldest = largest(history.apis, 'scoreline_oldest_request_age_seconds', isOwn);
    const failed = ofCode(isFault);
    const refused = history.rate('scoreline_refusals_total', isOwn);
    return [
      { text: nameOf(model) },
      { text: String(model.workers), colour: colourOfWorkers(model) },
      { text: model.unanswered === null ? unknown : String(model.unanswered) },
      {
        text: duration(oldest),
        colour: (oldest ?? 0) * 1000 > model.deadlineMs / 2 ? 'red' : undefined,
      },
      { text: duration(largest(history.apis, 'scoreline_drain_seconds', isOwn)) },
      { text: number(ofCode(() => true)) },
      { text: number(refused), colour: refused ? 'yellow' : undefined },
      { text: number(failed), colour: failed ? 'red' : undefined },
      { text: percentile('request_duration', 0.5) },
      { text: percentile('request_duration', 0.95) },
      { text: percentile('request_duration', 0.99) },
      { text: percentile('queue_wait', 0.95) },
      { text: percentile('run_duration', 0.95) },
      { text: number(history.mean('scoreline_batch_size_rows', isOwn)) },
    ];
  });
}

function colourOfWorkers({ workers, unanswered }: ModelState): Colour | undefined {
  if (workers > 0) return 'green';
  return unanswered ? 'red' : 'yellow';
}

const processColumns = ['PROCESS', 'ROLE', 'STATE', 'HELD', 'ITEMS/S', 'LOOP LAG', 'HEAP', 'REDIS'];

function toProcessRow(history: History): (process: Process) => Cell[] {
  return ({ address = '', metrics }) => {
    if (!metrics) return [{ text: clean(address) }, { text: 'does not answer', colour: 'red' }];
    const one = (name: string) => metrics.get(name)?.samples[0]?.value;
    const role = metrics.get('scoreline_build_info')?.samples[0]?.labels.role ?? unknown;
    const states = metrics.get('scoreline_worker_state')?.samples ?? [];
    const state = states.find(({ value }) => value === 1)?.labels.state ?? unknown;
    const heap =
      (one('nodejs_heap_size_used_bytes') ?? 0) / (one('nodejs_heap_size_limit_bytes') ?? 1);
    const isUp = one('scoreline_redis_up') === 1;
    const items =
      role === 'worker' ? history.rate('scoreline_items_total', () => true, metrics) : undefined;
    return [
      { text: clean(address) },
      { text: clean(role) },
      { text: clean(state), colour: state === 'ready' ? 'green' : undefined },
      { text: duration(largest([metrics], 'scoreline_held_job_age_seconds', () => true)) },
      { text: number(items) },
      { text: duration(one('nodejs_eventloop_lag_p99_seconds')) },
      { text: `${Math.round(heap * 100)} %` },
      { text: isUp ? 'up' : 'away', colour: isUp ? 'green' : 'red' },
    ];
  };
}

function describeApis(history: History): string {
  const { apis } = history;
  if (apis.length === 0) return '';
  const total = (name: string) => apis.reduce((all, api) => all + (firstOf(api, name) ?? 0), 0);
  const most = (name: string) => largest(apis, name, () => true);
  const used = most('scoreline_redis_memory_bytes');
  const limit = most('scoreline_redis_memory_max_bytes');
  const memory =
    used === undefined ? '' : `, ${bytes(used)}${limit === undefined ? '' : ` of ${bytes(limit)}`}`;
  const roundTrip = history.percentile('scoreline_redis_round_trip_seconds', 0.5, () => true);
  return [
    `${apis.length} API ${apis.length === 1 ? 'instance' : 'instances'} seen`,
    `in flight ${total('scoreline_requests_in_flight')}`,
    `permits ${total('scoreline_permits_max')}`,
    `loop lag ${duration(most('nodejs_eventloop_lag_p99_seconds'))}`,
    `Redis ${duration(roundTrip)}${memory}`,
  ].join('   ');
}

function drawTable(columns: readonly string[], rows: readonly Cell[][], paint: Paint): string[] {
  const widths = columns.map((title, at) =>
    Math.max(
      title.length,
      ...rows.map((row) => (row.length > 2 ? (row[at]?.text.length ?? 0) : 0)),
    ),
  );
  const pad = (text: string, at: number) =>
    at === 0 ? text.padEnd(widths[at] ?? 0) : text.padStart(widths[at] ?? 0);
  const head = columns.map(pad).join('  ');
  return [
    paint(head, 'bold'),
    ...rows.map((row) =>
      row
        .map(({ text, colour }, at) => (colour ? paint(pad(text, at), colour) : pad(text, at)))
        .join('  '),
    ),
  ];
}

function nameOf({ name, version }: ModelState): string {
  return clean(`${name}@${version}`);
}

function largest(
  all: readonly Metrics[],
  name: string,
  isWanted: (labels: Labels) => boolean,
): number | undefined {
  const values = all.flatMap((metrics) =>
    (metrics.get(name)?.samples ?? [])
      .filter(({ labels }) => isWanted(labels))
      .map(({ value }) => value),
  );
  return values.length === 0 ? undefined : Math.max(...values);
}

function firstOf(metrics: Metrics, name: string): number | undefined {
  return metrics.get(name)?.samples[0]?.value;
}

function number(value: number | undefined): string {
  if (value === undefined) return unknown;
  return value >= 10 || value === 0 ? String(Math.round(value)) : value.toFixed(1);
}

function duration(seconds: number | undefined): string {
  if (seconds === undefined) return unknown;
  if (seconds >= 1) return `${seconds.toFixed(1)} s`;
  const ms = seconds * 1000;
  return `${ms >= 10 || ms === 0 ? Math.round(ms) : ms.toFixed(1)} ms`;
}

function bytes(value: number): string {
  return value >= 2 ** 30
    ? `${(value / 2 ** 30).toFixed(1)} GiB`
    : `${(value / 2 ** 20).toFixed(1)} MiB`;
}

/** What others have written must not steer the terminal. */
function clean(text: string): string {
  return stripVTControlCharacters(text).replace(/\p{Cc}/gu, '?');
}
