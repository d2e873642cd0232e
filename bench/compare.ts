// `npm run bench -- compare [--base REV] [--rounds R] [--seconds S] [--clients N,N,…] [--images]
//   [--same-models]`
//
// Is this checkout slower than the commit REV? That commit is checked out and built beside this one
// (bench/checkout.ts). Both services run at the same time, each with a Redis of its own, one API and
// one worker process, and the same load generator loads one of them at a time.
//
// A machine changes its speed from minute to minute, so only neighbours are compared: each round
// loads both sides with every route and number of clients, one right after the other, and gives one
// ratio for each. Who goes first alternates from round to round.
//
// Beside requests a second stands the processor time of API and worker for each request. It differs less
// from round to round, so it tells differences of a few percent that requests a second cannot.
//
// Either side is asked over HTTP alone, so the insides of the two commits may differ. Each uses the
// models of its own checkout, or both use those of the commit (`--same-models`), so a model that costs more does not
// count as slower code.
//
// Failures and Ctrl-C end the services and remove the checkout, too. npm passes on a Ctrl-C that the
// terminal has sent us already, so a second one changes nothing; a time limit ends what does not end.

import { readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { parseArguments } from '../cli/arguments.js';
import { toNumber, toNumbers } from '../cli/numbers.js';
import { type Build, thisBuild } from '../cli/processes/children.js';
import { coerceError } from '../shared/errors.js';
import { unless } from '../shared/process/unless.js';
import { readProcessorMs } from './api.js';
import { makeCheckout } from './checkout.js';
import { encodeRequest, makeClient } from './client.js';
import { type LoadResult, median, runLoad } from './load.js';
import { readQuestionBodies } from './questions.js';
import { report } from './report.js';
import { type BenchService, startBenchService } from './service.js';

/** One way to ask both services. */
interface Way {
  /** Its name in the line of JSON. */
  readonly name: string;
  readonly pathname: string;
  readonly bodies: readonly (string | Buffer)[];
  readonly headers: Readonly<Record<string, string>>;
  /** A part of every right answer. */
  readonly expected: string;
}

interface Workload {
  readonly model: string;
  readonly ways: readonly Way[];
  readonly clients: readonly number[];
}

type Side = 'ours' | 'base';

interface Measured extends LoadResult {
  /** Processor time of API and worker for each request, in microseconds. NaN where it cannot be read. */
  readonly processorUs: number;
}

interface Case extends Way, Readonly<Record<Side, Measured[]>> {
  readonly clients: number;
}

const usage =
  'Usage: npm run bench -- compare [--base REV] [--rounds R] [--seconds S] [--clients N,N,…] [--images] [--same-models]';
const counts = { min: 1, max: 1000, isWhole: true };
/** V8 goes on compiling for some seconds, on the cores that are measured. */
const warmUpSeconds = 5;
const endsWithinMs = 30_000;

const say = (line: string) => process.stderr.write(`${line}\n`);
const interruption = new AbortController();
const { signal } = interruption;
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(name, () => {
    if (signal.aborted) return;
    interruption.abort(new Error(`Ended by ${name}.`));
    setTimeout(() => process.exit(1), endsWithinMs).unref();
  });
}
const services: BenchService[] = [];

try {
  await compare();
} catch (error) {
  // An interrupted run fails in many ways, none of which is the reason.
  say(coerceError(signal.aborted ? signal.reason : error).message);
  process.exitCode = 1;
}
await Promise.allSettled(services.map((service) => service.close()));
process.exit();

async function compare(): Promise<void> {
  const { base, rounds, seconds, sameModels, workload } = readOptions();
  const checkout = makeCheckout(base, say);
  process.once('exit', () => checkout.remove());
  const otherBuild = await checkout.build(signal);
  const sides = {
    ours: await startService(thisBuild, workload.model, sameModels ? otherBuild : thisBuild),
    base: await startService(otherBuild, workload.model, otherBuild),
  };
  const cases: Case[] = workload.ways.flatMap((way) =>
    workload.clients.map((clients) => ({ ...way, clients, ours: [], base: [] })),
  );
  const measure = (side: Side, each: Case) => measureSide(side, sides[side], { ...each, seconds });

  await warmUp(sides, workload, cases.length * rounds * seconds * 2);
  for (let round = 1; round <= rounds; round++) {
    say(`Round ${round} of ${rounds} …`);
    const order = round % 2 === 1 ? (['base', 'ours'] as const) : (['ours', 'base'] as const);
    for (const each of cases) {
      for (const side of order) each[side].push(await measure(side, each));
    }
  }
  print(cases, { base: checkout.commit, model: workload.model });
}

async function startService(build: Build, models: string, owner: Build): Promise<BenchService> {
  const modelsDirectory = path.join(owner.root, 'models');
  const service = await startBenchService({ models, modelsDirectory, build, byPort: true }).catch(
    (error) => {
      throw new Error(`The service in ${build.root} did not start: ${coerceError(error).message}`);
    },
  );
  services.push(service);
  signal.throwIfAborted();
  if (service.url !== '') return service;
  throw new Error(`The API in ${build.root}: expected it to report its port; got none.`);
}

async function warmUp(
  sides: Readonly<Record<Side, BenchService>>,
  { ways, clients }: Workload,
  measuredSeconds: number,
): Promise<void> {
  const names = ['base', 'ours'] as const;
  const minutes = (measuredSeconds + ways.length * warmUpSeconds * names.length) / 60;
  say(`Measuring, for about ${minutes.toFixed(1)} minutes …`);
  for (const way of ways) {
    for (const side of names) {
      await checkAnswer(side, sides[side], way);
      const load = { ...way, clients: Math.max(...clients), seconds: warmUpSeconds };
      await measureSide(side, sides[side], load);
    }
  }
}

/** @throws Error with what came, when the first answer is not what every load expects */
async function checkAnswer(side: Side, { url }: BenchService, way: Way): Promise<void> {
  const client = makeClient(Number(new URL(url).port));
  const [body = ''] = way.bodies;
  const { status, body: answer } = await client.ask(encodeRequest({ ...way, body }));
  client.close();
  if (status === 200 && answer.includes(way.expected)) return;
  throw new Error(
    `POST ${way.pathname} (${side}): expected 200 and an answer with ${way.expected}; got ${status} and ${answer.slice(0, 300)}`,
  );
}

async function measureSide(
  side: Side,
  { url: origin, apis, workers }: BenchService,
  load: Way & { readonly clients: number; readonly seconds: number },
): Promise<Measured> {
  const { clients, seconds, bodies, headers, expected } = load;
  const url = `${origin}${load.pathname}`;
  const isRight = (answer: string) => answer.includes(expected);
  const processes = [...apis, ...workers];
  const readMs = () => processes.reduce((sum, { pid }) => sum + readProcessorMs(pid), 0);
  const beforeMs = readMs();
  const result = await unless(signal, runLoad({ url, clients, seconds, bodies, headers, isRight }));
  const processorUs = ((readMs() - beforeMs) * 1000) / result.answers;
  if (result.perSecond > 0) return { ...result, processorUs };
  throw new Error(
    `POST ${load.pathname} (${side}), ${clients} clients: expected right answers; got ${result.wrong} wrong ones and none that is right`,
  );
}

function print(cases: readonly Case[], about: { base: string; model: string }): void {
  const summary: Record<string, number | string> = { ...about };
  let wrong = 0;
  const rows = cases.map((each) => {
    const ratiosOf = (pick: (result: Measured) => number) =>
      each.ours.map((result, round) => pick(result) / pick(each.base[round] as Measured));
    const ratios = ratiosOf((result) => result.perSecond);
    const processor = median(ratiosOf((result) => result.processorUs));
    const both = (pick: (result: Measured) => number, digits: number) =>
      [each.base, each.ours].map((results) => median(results.map(pick)).toFixed(digits)).join(', ');
    const wrongOf = (results: readonly LoadResult[]) =>
      results.reduce((sum, result) => sum + result.wrong, 0);
    summary[`throughput_${each.name}_${each.clients}`] = median(ratios);
    summary[`processor_${each.name}_${each.clients}`] = processor;
    wrong += wrongOf(each.base) + wrongOf(each.ours);
    return {
      'POST …': each.pathname,
      clients: each.clients,
      'requests/s: base, ours': both((result) => result.perSecond, 0),
      'ours/base': median(ratios).toFixed(3),
      min: Math.min(...ratios).toFixed(3),
      max: Math.max(...ratios).toFixed(3),
      'processor µs: base, ours': both((result) => result.processorUs, 1),
      'of it ours/base': processor.toFixed(3),
      'p50 ms: base, ours': both((result) => result.medianMs, 2),
      'p99 ms: base, ours': both((result) => result.p99Ms, 2),
      'wrong: base, ours': `${wrongOf(each.base)}, ${wrongOf(each.ours)}`,
    };
  });
  report('compare', rows, { ...summary, wrong });
}

function questions(): Omit<Workload, 'clients'> {
  const model = 'faq-matcher';
  const bodies = readQuestionBodies();
  return {
    model,
    ways: [
      {
        name: 'native',
        pathname: `/v1/models/${model}/score`,
        bodies,
        headers: {},
        expected: '"predictions":[{"label":',
      },
      {
        name: 'reference',
        pathname: '/score',
        bodies,
        headers: {},
        expected: '"Computed in ',
      },
    ],
  };
}

function images(): Omit<Workload, 'clients'> {
  const model = 'efficientnet-lite0';
  return {
    model,
    ways: [
      {
        name: 'native',
        pathname: `/v1/models/${model}/score`,
        bodies: [readFileSync(path.join(thisBuild.root, 'test/photographs/siamese-cat.jpg'))],
        headers: { 'Content-Type': 'image/jpeg' },
        expected: '"predictions":[{"label":"Siamese cat',
      },
    ],
  };
}

function readOptions() {
  const values = parseOptions();
  const clients = values.clients ?? (values.images ? '16' : '1,64,256');
  return {
    base: values.base,
    rounds: toNumber('rounds', values.rounds, counts),
    seconds: toNumber('seconds', values.seconds, { min: 0.01, max: 600 }),
    sameModels: values['same-models'],
    workload: {
      ...(values.images ? images() : questions()),
      clients: toNumbers('clients', clients, counts),
    },
  };
}

function parseOptions() {
  try {
    return parseArguments({
      options: {
        base: { type: 'string', default: 'HEAD' },
        rounds: { type: 'string', default: '8' },
        seconds: { type: 'string', default: '3' },
        clients: { type: 'string' },
        images: { type: 'boolean', default: false },
        'same-models': { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    throw new Error(`${coerceError(error).message}\n${usage}`);
  }
}
