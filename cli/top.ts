// `npm run top [-- --url URL] [--metrics ADDRESS,…] [--every SECONDS] [--once]`
//
// Shows what a service does, in a terminal, as it changes: models, workers, what waits, rates, latencies. With
// `--once`, or where standard output is no terminal, it prints that once.

import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { coerceError } from '../shared/errors.js';
import { History } from '../top/history.js';
import { makePaint, openScreen, type Screen } from '../top/screen.js';
import { type Reading, readService, type Source, Unanswered } from '../top/service.js';
import { drawLines, findEvents } from '../top/view.js';
import { absentAdvice, localAddress, toUrl } from './addresses.js';
import { parseArguments } from './arguments.js';
import { runCommand } from './command.js';
import { wrong } from './faults.js';
import { toNumber } from './numbers.js';

const usage = `Usage: npm run top -- [--url URL] [--metrics ADDRESS,…] [--every SECONDS] [--once]

  --url      The service; ${localAddress} if it is not given.
  --metrics  The addresses of the metrics of workers, and of further API instances: 10.0.0.7:8081,…
  --every    How often to look, in seconds; 1 if it is not given.
  --once     Print what there is, as plain text, and end.

SCORELINE_KEY has the API key or the access token. Rates and latencies need the scope admin.`;

const eventsMax = 5;
const { stdin, stdout } = process;

await runCommand(usage, async () => {
  const { source, everyMs, isOnce } = readOptions();
  await (isOnce ? printOnce(source, everyMs) : watch(source, everyMs));
});

/** Looks twice, since a rate needs two readings. */
async function printOnce(source: Source, everyMs: number): Promise<void> {
  const history = new History();
  history.add(await readFirst(source));
  await delay(everyMs);
  const reading = await readService(source);
  history.add(reading);
  const paint = makePaint(false);
  const lines = drawLines({ reading, history, url: source.url, events: [] }, paint);
  stdout.write(`${lines.join('\n')}\n`);
}

async function readFirst(source: Source): Promise<Reading> {
  try {
    return await readService(source);
  } catch (thrown) {
    throw thrown instanceof Unanswered ? wrong(`${thrown.message}. ${absentAdvice}`) : thrown;
  }
}

async function watch(source: Source, everyMs: number): Promise<void> {
  const history = new History();
  const paint = makePaint(!process.env.NO_COLOR);
  const ended = new AbortController();
  let events: readonly string[] = [];
  let reading: Reading | undefined;
  let fault: string | undefined;
  let screen: Screen | undefined;

  const end = () => ended.abort();
  const draw = () => {
    const lines = reading ? drawLines({ reading, history, url: source.url, events }, paint) : [];
    const head = fault === undefined ? [] : [paint(fault, 'red'), ''];
    screen?.draw([...head, ...lines, '', paint('q ends', 'dim')]);
  };
  const look = async () => {
    try {
      const now = await readService(source);
      history.add(now);
      events = [...events, ...findEvents(reading, now)].slice(-eventsMax);
      reading = now;
      fault = undefined;
    } catch (thrown) {
      fault = coerceError(thrown).message;
    }
  };

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, end);
  // A first answer that is a fault ends the program, and can then be read.
  reading = await readFirst(source);
  history.add(reading);
  screen = openScreen(
    { input: stdin, output: stdout },
    {
      key: (key) => {
        if (key === 'q' || key === '\u0003') end();
      },
      resize: draw,
    },
  );
  try {
    while (!ended.signal.aborted) {
      draw();
      await delay(everyMs, undefined, { signal: ended.signal }).catch(() => {});
      if (!ended.signal.aborted) await look();
    }
  } finally {
    screen.close();
  }
}

function readOptions(): { source: Source; everyMs: number; isOnce: boolean } {
  const { values } = readArguments();
  const seconds = toNumber('every', values.every, { min: 0.2, max: 60, note: 'in seconds' });
  const addresses = (values.metrics ?? '').split(',').map((each) => each.trim());
  return {
    source: {
      url: toUrl('url', values.url).replace(/\/$/, ''),
      key: process.env.SCORELINE_KEY || undefined,
      metrics: addresses.filter((each) => each !== '').map(toMetricsUrl),
    },
    everyMs: seconds * 1000,
    isOnce: values.once || !stdout.isTTY,
  };
}

function readArguments() {
  return parseArguments({
    options: {
      url: { type: 'string', default: localAddress },
      metrics: { type: 'string' },
      every: { type: 'string', default: '1' },
      once: { type: 'boolean', default: false },
    },
  });
}

/** Takes `10.0.0.7:8081`, too. */
function toMetricsUrl(given: string): string {
  const url = toUrl('metrics', /^https?:/.test(given) ? given : `http://${given}`);
  return new URL(url).pathname === '/' ? new URL('/metrics', url).href : url;
}
