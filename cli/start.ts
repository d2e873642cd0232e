// `npm start`: starts Redis (unless REDIS_URL names one), the API and the workers with one command.
// Ctrl-C stops all of them, in order. A second Ctrl-C kills them.

import { isIPv6 } from 'node:net';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { isLoopback } from '../shared/configuration/access.js';
import { readConfiguration } from '../shared/configuration/configuration.js';
import { listed } from '../shared/listed.js';
import { sameSignalMs } from '../shared/process/lifecycle.js';
import { within } from '../shared/process/within.js';
import { redactUrl } from '../shared/redis/url.js';
import { collectModels, type Model } from '../shared/registry/models.js';
import { packageDirectory, packageVersion } from '../shared/version.js';
import { parseArguments } from './arguments.js';
import { describeFault, helpIfAsked } from './command.js';
import { curlLine } from './curl-line.js';
import { type Child, Killed, spawnChild } from './processes/children.js';
import { makeLocalWorkers } from './processes/local-workers.js';
import { type PrivateRedis, startRedis } from './redis/private-redis.js';
import { ensureRedisServer } from './redis/redis.js';

const usage = `Usage: npm start

Starts Redis, the API and a worker, and prints how to ask them. Ctrl-C stops all of them. Settings come from the
environment: PORT=9000 WORKERS=2 MODELS=NAME,… npm start. docs/configuration.md has all of them.`;

const root = packageDirectory();
const restartDelayMs = 1000;
const killsWithinMs = 1000;
/** How many models the greeting names. */
const shownMax = 10;
const restarting = 'Restarting it.';
/** In the order of shutdown. The API goes first: it still answers the requests it has accepted. */
const started = { api: new Set<Child>(), worker: new Set<Child>() };
const localWorkers = makeLocalWorkers(started);
let redis: PrivateRedis | undefined;
let endingSinceMs: number | undefined;

const say = (line: string) => process.stdout.write(`${line}\n`);
const complain = (line: string) => process.stderr.write(`${line}\n`);

helpIfAsked(usage);
process.chdir(root);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (endingSinceMs === undefined) void end(0);
    else if (performance.now() - endingSinceMs > sameSignalMs) void endAtOnce();
  });
}
watchParent();
try {
  await start();
} catch (error) {
  await fail(error);
}

async function start(): Promise<void> {
  parseArguments({ options: {} });
  say(`Scoreline ${packageVersion()}`);
  const environment: NodeJS.ProcessEnv = {
    LOG_LEVEL: 'warn',
    // For `npm run top`. The port of the metrics is as open as HOST, whose default is this machine only.
    ...(process.env.HOST ? {} : { METRICS_PORT: '0' }),
    ...process.env,
  };
  const configuration = readConfiguration('api', environment);
  readConfiguration('worker', environment);
  const workerCount = readWorkerCount();
  const { models, leftOut } = collectModels({
    directory: configuration.MODELS_DIR,
    names: configuration.MODELS,
    filesNeeded: true,
  });
  // The page can kill a worker, so only this machine may reach it.
  if (isLoopback(configuration.HOST)) localWorkers.open();
  for (const { name, error } of leftOut) complain(`  left out: ${name}: ${error.message}`);

  if (process.env.REDIS_URL) {
    say('  Redis   from REDIS_URL');
  } else {
    environment.REDIS_URL = await startPrivateRedis();
    environment.REDIS_PASSWORD = '';
  }
  const names = [...new Set(models.map((model) => model.name))];
  // Without names, models that come later are served, too.
  if (configuration.MODELS) environment.MODELS = names.join(',');

  const startedAt = performance.now();
  say(`  models  loading and warming up ${listed(names, shownMax)} …`);
  const workers = Array.from({ length: workerCount }, () => superviseWorker(environment));
  const [api] = await Promise.all([supervise('api', environment), ...workers]);
  const reports = await reportsOf(workers);
  const loading = new Set(reports.flatMap((each) => each.loading));
  const served = new Set(reports.flatMap((each) => [...each.models, ...each.loading]));
  for (const name of names) {
    if (workers.length > 0 && !served.has(name))
      complain(`  left out: ${name}: no worker can load it; the log above says why`);
  }
  const report = await api?.ready;
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  const late = listed([...loading], shownMax);
  say(`  models  warm after ${seconds} s${late && `; still loading: ${late}`}`);

  const address = `http://${reachable(String(report?.address))}:${report?.port}`;
  say(`  API     ${address}`);
  if (configuration.PLAYGROUND) say(`  page    ${address}/ in a browser`);
  const isGuarded = configuration.AUTH !== undefined && configuration.AUTH.length > 0;
  if (isGuarded) say(`  access  by ${configuration.AUTH}; $KEY stands for a key or a token below`);
  if (configuration.AUTH?.includes('keys')) say(`          Make a key: ${keysLine()}`);
  say('\nTry it, in another terminal:\n');
  const credential = isGuarded ? ' -H "Authorization: Bearer $KEY"' : '';
  const isLatest = ({ name }: Model, at: number) =>
    models.findIndex((each) => each.name === name) === at;
  const isLate = ({ name }: Model) => Number(loading.has(name));
  const asked = models.filter(isLatest).filter(({ name }) => served.has(name));
  const ordered = asked.toSorted((one, other) => isLate(one) - isLate(other));
  for (const model of ordered.slice(0, shownMax)) say(`${curlLine(address, model)}${credential}\n`);
  say('Press Ctrl-C to stop everything.');
}

/**
 * Returns the command that makes a key for this service in another terminal. The address of a Redis with a password is left
 * for the user to fill in.
 */
function keysLine(): string {
  const { REDIS_URL, DATA_DIR, QUEUE_PREFIX, KEYS_FILE } = process.env;
  const redis = REDIS_URL
    ? { REDIS_URL: redactUrl(REDIS_URL) === REDIS_URL ? REDIS_URL : '…' }
    : { DATA_DIR };
  const settings = Object.entries({ ...redis, QUEUE_PREFIX, KEYS_FILE }).flatMap(([name, value]) =>
    value ? [`${name}='${value.replaceAll("'", "'\\''")}' `] : [],
  );
  return `${settings.join('')}npm run keys -- create NAME`;
}

/** Returns the names of the models that these workers serve, and that they still load. Each has logged what it left out. */
async function reportsOf(workers: readonly Promise<Child>[]) {
  const children = await Promise.all(workers);
  const reports = await Promise.all(children.map(({ ready }) => ready));
  return reports as { models: string[]; loading: string[] }[];
}

/** Starts the Redis of this clone, and returns its URL. */
async function startPrivateRedis(): Promise<string> {
  const directory = path.resolve(root, process.env.DATA_DIR || 'data', 'redis');
  redis = await startRedis({ server: ensureRedisServer(say), directory, say });
  void redis.failed.then(fail);
  say(`  Redis   ${redis.tcpUrl} (data in ${directory})`);
  return redis.url;
}

/**
 * Starts a worker. If a model kills it before it is ready, starts another one, and a third. That one knows the models that
 * both were loading.
 */
async function superviseWorker(environment: NodeJS.ProcessEnv, triesLeft = 2): Promise<Child> {
  try {
    return await supervise('worker', environment);
  } catch (thrown) {
    if (endingSinceMs !== undefined || triesLeft === 0 || !(thrown instanceof Killed)) throw thrown;
    say(`The worker ${couldNotStart(thrown)}`);
    return superviseWorker(environment, triesLeft - 1);
  }
}

/** Starts a role. If the process later exits on its own, starts it again after a second. */
async function supervise(role: 'api' | 'worker', environment: NodeJS.ProcessEnv): Promise<Child> {
  const child = spawnChild(role, environment);
  started[role].add(child);
  void child.exited.then(() => {
    started[role].delete(child);
    localWorkers.announce();
  });
  await child.ready;
  if (role === 'api') child.listen(localWorkers.hear);
  else localWorkers.addReady(child);
  localWorkers.announce();
  void child.exited.then(async (how) => {
    let reason = `exited unexpectedly (${how}). ${restarting}`;
    let again: Child | undefined;
    while (endingSinceMs === undefined && !again) {
      say(`The ${role} ${reason}`);
      await delay(restartDelayMs);
      if (endingSinceMs !== undefined) return;
      again = await supervise(role, environment).catch((error) => {
        reason = couldNotStart(error);
        return undefined;
      });
    }
  });
  return child;
}

function couldNotStart({ message }: Error): string {
  return `could not start: ${message} ${restarting}`;
}

/** Says why we cannot go on, and ends. Failures that the end itself causes are not shown. */
async function fail(error: unknown): Promise<void> {
  if (endingSinceMs === undefined) process.stderr.write(`\n${describeFault(error, usage)}\n`);
  await end(1);
}

async function end(exitCode: number): Promise<void> {
  if (endingSinceMs !== undefined) return;
  endingSinceMs = performance.now();
  if (exitCode === 0) say('\nStopping … (Ctrl-C again stops at once)');
  for (const children of Object.values(started)) {
    await Promise.all([...children].map((child) => child.close()));
  }
  await redis?.close();
  process.exit(exitCode);
}

async function endAtOnce(): Promise<void> {
  say('Stopping at once.');
  const children = [...started.api, ...started.worker];
  for (const child of children) child.kill('SIGKILL');
  const ended = Promise.all([redis?.kill(), ...children.map(({ exited }) => exited)]);
  // The guard of Redis may hang, too. When it goes on, it ends Redis.
  await within(ended, killsWithinMs);
  process.exit(1);
}

/** No signal arrives if npm or the shell above us is killed, but our parent process changes. */
function watchParent(): void {
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) void end(0);
  }, 500).unref();
}

function readWorkerCount(): number {
  const text = process.env.WORKERS || '1';
  if (/^\d+$/.test(text) && Number(text) <= 64) return Number(text);
  throw new Error(`WORKERS: expected a whole number from 0 to 64; got ${process.env.WORKERS}`);
}

/** Returns the host of a URL that leads to a listener on this address, from this machine. */
function reachable(address: string): string {
  if (address === '0.0.0.0') return '127.0.0.1';
  if (address === '::') return '[::1]';
  return isIPv6(address) ? `[${address}]` : address;
}
