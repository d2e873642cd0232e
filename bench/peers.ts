// `npm run bench -- peers [--scenario text|pictures] [--engine onnx|python] [--peers NAME,…] [--workers N] [--clients N,…]
// [--rounds R] [--seconds S] [--plot FILE]`
//
// Compares Scoreline with the servers that its users would pick instead (bench/peers/servers.ts). All
// run the same network in the same version of ONNX Runtime, get the same questions or photographs from
// the same load generator, and have batching on. Each peer has an environment of its own and one short
// file, bench/peers/serve_NAME.py.
//
// One server runs at a time. Each round starts every server, checks its answers, warms it up and loads
// it. The order turns round from round to round. A peer that cannot be installed or started is left
// out, with the reason.
//
// Processor time and memory are those of all the processes of a server: for Scoreline, API, workers
// and Redis.

import process from 'node:process';
import { encodeRequest, makeClient } from './client.js';
import { type LoadResult, median, runLoad } from './load.js';
import { readOptions } from './options.js';
import { drawPlot, keepResult } from './peers/plot.js';
import { sumMegabytes, sumProcessorMs } from './peers/processes.js';
import { type Best, type Dialect, peers, type Scenario, scoreline } from './peers/servers.js';
import {
  killServers,
  PeerEnded,
  type StartedServer,
  startPeer,
  startScoreline,
} from './peers/start.js';
import { readPhotographs } from './photographs.js';
import { readQuestions } from './questions.js';
import { report } from './report.js';

/** What one load of one round measured. */
interface Measured extends LoadResult {
  /** Processor time for each answer, without that of the load generator. */
  readonly processorMs: number;
  readonly megabytes: number;
}

const values = readOptions({
  ...{ scenario: 'text', engine: 'onnx', peers: Object.keys(peers).join(), plot: '' },
  ...{ workers: 1, clients: [1, 64], rounds: 2, seconds: 4 },
});
/** V8 goes on compiling for so long with one client. */
const warmUpSeconds = 12;
/** Decoders differ in the last bits of a pixel, and the network makes more of it. */
const scoreTolerance = { text: 0.001, pictures: 0.05 };

const scenario = values.scenario as Scenario;
if (!(scenario in scoreline)) fail(`--scenario: expected text or pictures; got ${scenario}`);
const engine = values.engine as 'onnx' | 'python';
if (!['onnx', 'python'].includes(engine) || (engine === 'python' && scenario !== 'text')) {
  fail(`--engine: expected onnx, or python with the scenario text; got ${engine}`);
}
const { workers, clients } = values;
const names = values.peers.split(',');
for (const name of names) {
  if (!peers[name]) fail(`--peers: expected names of ${Object.keys(peers).join()}; got ${name}`);
}

process.on('exit', killServers);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1));

const inputs = scenario === 'text' ? readQuestions() : readPhotographs();
const expected: Best[] = [];
const results = new Map<string, Map<number, Measured[]>>();
for (let round = 0; round < values.rounds; round++) {
  const order = round === 0 ? ['scoreline', ...names] : [...results.keys()];
  for (const name of round % 2 === 0 ? order : order.toReversed()) await tryServer(name);
}
print();
if (values.plot) drawPlot(values.plot);
process.exit(0);

/** Leaves a peer out for good if it fails. */
async function tryServer(name: string): Promise<void> {
  try {
    const measured = await measureServer(name);
    for (const [count, each] of measured) {
      const counts = results.get(name) ?? new Map(clients.map((clientCount) => [clientCount, []]));
      counts.get(count)?.push(each);
      results.set(name, counts);
    }
  } catch (error) {
    if (name === 'scoreline') throw error;
    results.delete(name);
    console.error(`${dialectOf(name).title} is left out: ${(error as Error).message}`);
  }
}

/** Enough of a check under load: the order of the classes was checked before. */
function labelOf(index: number): string {
  return JSON.stringify((expected[index] as Best).label);
}

function dialectOf(name: string): Dialect {
  return name === 'scoreline' ? scoreline[scenario] : (peers[name] as Dialect);
}

function bodiesOf(dialect: Dialect): (string | Buffer)[] {
  return inputs.map((input) =>
    typeof input === 'string' ? dialect.writeText(input) : dialect.writePicture(input),
  );
}

async function start(name: string): Promise<StartedServer> {
  const options = { scenario, workers };
  if (name === 'scoreline') return startScoreline({ ...options, engine });
  const { pathname, headers } = dialectOf(name);
  const body = bodiesOf(dialectOf(name))[0] as string;
  const isReady = async (url: string) => {
    const answer = await fetch(`${url}${pathname}`, {
      method: 'POST',
      body,
      headers: headers[scenario],
    });
    await answer.arrayBuffer();
    return answer.ok;
  };
  try {
    return await startPeer(name, options, isReady);
  } catch (error) {
    if (!(error instanceof PeerEnded)) throw error;
    // The processes of Triton sometimes miss each other when they start.
    console.error(`${dialectOf(name).title} is started again: ${error.message}`);
    return await startPeer(name, options, isReady);
  }
}

/** Asks for every picture, or a part of the questions. The first server says what is expected. */
async function check({ url }: StartedServer, dialect: Dialect): Promise<void> {
  const client = makeClient(Number(new URL(url).port));
  const headers = dialect.headers[scenario];
  // The reference is asked for all, so each answer under load can be checked.
  const isFirst = expected.length === 0;
  for (const [index, body] of bodiesOf(dialect).entries()) {
    if (!isFirst && scenario === 'text' && index % 20 > 0) continue;
    const request = encodeRequest({ pathname: dialect.pathname, body, headers });
    const answer = await client.ask(request);
    if (answer.status !== 200) throw new Error(`${answer.status} ${answer.body}`);
    const best = dialect.readBest(answer.body);
    if (isFirst) expected[index] = best;
    const { label, score } = expected[index] as Best;
    if (best.label !== label || Math.abs(best.score - score) > scoreTolerance[scenario]) {
      const got = JSON.stringify([best.label, best.score]);
      throw new Error(`input ${index}: expected ${JSON.stringify([label, score])}; got ${got}`);
    }
  }
  client.close();
}

/** Returns what was measured with each number of clients. */
async function measureServer(name: string): Promise<[number, Measured][]> {
  const server = await start(name);
  const dialect = dialectOf(name);
  const run = (count: number, seconds: number) =>
    runLoad({
      url: `${server.url}${dialect.pathname}`,
      clients: count,
      seconds,
      bodies: bodiesOf(dialect),
      headers: dialect.headers[scenario],
      isRight: (answer, index) => answer.includes(labelOf(index)),
    });
  try {
    await check(server, dialect);
    const measured: [number, Measured][] = [];
    for (const count of clients) {
      // With as many clients, because some servers learn how long to wait for a batch.
      await run(count, warmUpSeconds);
      const startedAt = performance.now();
      const before = sumProcessorMs(server.pids);
      const result = await run(count, values.seconds);
      const spentMs = sumProcessorMs(server.pids) - before;
      const answers = (result.perSecond * (performance.now() - startedAt)) / 1000;
      const megabytes = sumMegabytes(server.pids);
      measured.push([count, { ...result, processorMs: spentMs / answers, megabytes }]);
    }
    return measured;
  } finally {
    await server.close();
  }
}

function print(): void {
  const of = (name: string, count: number, key: keyof Measured) =>
    median((results.get(name)?.get(count) ?? []).map((measured) => measured[key]));
  const rows = clients.flatMap((count) =>
    [...results.keys()].map((name) => ({
      clients: count,
      server: dialectOf(name).title,
      'requests/s': Number(of(name, count, 'perSecond').toPrecision(3)),
      'p50 ms': Number(of(name, count, 'medianMs').toPrecision(3)),
      'p99 ms': Number(of(name, count, 'p99Ms').toPrecision(3)),
      'processor ms': Number(of(name, count, 'processorMs').toPrecision(3)),
      MB: Math.round(of(name, count, 'megabytes')),
      wrong: of(name, count, 'wrong'),
    })),
  );
  const ratios: Record<string, number | string> = { scenario, engine, workers };
  const others = [...results.keys()].filter((name) => name !== 'scoreline');
  for (const count of clients) {
    const compare = (key: keyof Measured, name: string) =>
      of('scoreline', count, key) / of(name, count, key);
    for (const name of others) ratios[`throughput_${count}_${name}`] = compare('perSecond', name);
    const toBest = (key: keyof Measured) => Math.max(...others.map((name) => compare(key, name)));
    ratios[`throughput_${count}`] = Math.min(...others.map((name) => compare('perSecond', name)));
    ratios[`median_${count}`] = toBest('medianMs');
    ratios[`p99_${count}`] = toBest('p99Ms');
    ratios[`processor_${count}`] = toBest('processorMs');
    ratios[`memory_${count}`] = toBest('megabytes');
  }
  report('peers', rows, ratios);
  keepResult({ scenario, workers, rows });
}

function fail(line: string): never {
  process.stderr.write(`${line}\n`);
  process.exit(1);
}
