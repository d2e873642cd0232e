// Shared by the tests: a real Redis, a real API and real workers. A test ends everything it starts,
// and waits for conditions instead of times.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { Redis } from 'ioredis';
import { waitUntil as holdsWithin } from '../chaos/wait.js';
import { type Build, type Child, spawnChild } from '../cli/children.js';
import { ensureRedisServer, findFreePort } from '../cli/redis.js';
import { findModel, readModels } from '../shared/models.js';
import { packageDirectory } from '../shared/version.js';

export const root = packageDirectory();

export interface TestRedis {
  readonly url: string;
  readonly client: Redis;
  /** Ends the server, with SIGTERM unless told otherwise. Its data stays. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** Starts the server again with its data. */
  start(): Promise<void>;
  /** Starts the server again without its data. */
  startEmpty(): Promise<void>;
  /** Kills the server and deletes its data. */
  close(): Promise<void>;
}

/** Starts a private redis-server with an append-only file in a temporary folder. */
export async function openRedis(options: { parameters?: string[] } = {}): Promise<TestRedis> {
  const server = ensureRedisServer(() => {});
  const directory = mkdtempSync(path.join(os.tmpdir(), 'scoreline-redis-'));
  const port = await findFreePort();
  const url = `redis://127.0.0.1:${port}`;
  let running: ChildProcess | undefined;

  const client = new Redis(url, { lazyConnect: true, retryStrategy: () => 50 });
  client.on('error', () => {});

  const start = async () => {
    running = spawn(
      server,
      [
        ['--port', String(port), '--bind', '127.0.0.1', '--dir', directory],
        ['--appendonly', 'yes', '--save', '', '--loglevel', 'warning'],
        options.parameters ?? [],
      ].flat(),
      { stdio: 'ignore' },
    );
    const probe = new Redis(url, { maxRetriesPerRequest: null, retryStrategy: () => 20 });
    probe.on('error', () => {});
    await probe.ping();
    probe.disconnect();
  };
  const stop = async (signal: NodeJS.Signals = 'SIGTERM') => {
    const server = running;
    if (!server || server.exitCode !== null || server.signalCode !== null) return;
    const exited = new Promise((resolve) => server.once('exit', resolve));
    server.kill(signal);
    await exited;
  };

  await start();
  await client.connect();
  return {
    url,
    client,
    start,
    startEmpty: async () => {
      rmSync(directory, { recursive: true });
      mkdirSync(directory);
      await start();
    },
    stop,
    close: async () => {
      client.disconnect();
      await stop('SIGKILL');
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** One line in the log of a process. */
export interface LogLine {
  readonly pid: number;
  readonly level: number;
  readonly msg: string;
  readonly [field: string]: unknown;
}

export interface Service {
  readonly url: string;
  readonly api: Child;
  readonly workers: Child[];
  /** Starts one more worker. Resolves once it is ready. */
  addWorker(): Promise<Child>;
  /** The log of the API and the workers so far. LOG_LEVEL is `error` unless the test sets it. */
  readonly log: readonly LogLine[];
  close(): Promise<void>;
}

/** Starts an API and workers as processes. The API takes a free port. */
export async function startService(options: {
  redisUrl: string;
  models?: string;
  workers?: number;
  environment?: NodeJS.ProcessEnv;
}): Promise<Service> {
  const environment = serviceEnvironment(options);
  const log: LogLine[] = [];
  const start = (role: 'api' | 'worker') => startProcess(role, environment, log);
  const workers = Array.from({ length: options.workers ?? 1 }, () => start('worker'));
  const api = start('api');
  const [{ port }] = await Promise.all([api.ready, ...workers.map((worker) => worker.ready)]);
  return {
    url: `http://127.0.0.1:${port}`,
    api,
    workers,
    log,
    addWorker: async () => {
      const worker = start('worker');
      workers.push(worker);
      await worker.ready;
      return worker;
    },
    close: async () => {
      await api.close();
      await Promise.all(workers.map((worker) => worker.close()));
    },
  };
}

/** Starts a role as a process, and appends the lines of its log to `log`. */
export function startProcess(
  role: 'api' | 'worker',
  environment: NodeJS.ProcessEnv,
  log: LogLine[],
  build?: Build,
): Child {
  const child = spawnChild(role, environment, 'pipe', build);
  createInterface({ input: child.output as Readable }).on('line', (line) => {
    if (line.startsWith('{')) log.push(JSON.parse(line));
    else process.stdout.write(`${line}\n`);
  });
  return child;
}

/** Returns the environment of an API or a worker under test. */
/** The BullMQ queue of a model of this repository. */
export function queueOf(model: string): string {
  const directory = path.join(root, 'models');
  return findModel(readModels({ directory, filesNeeded: false }), model).queue;
}

export function serviceEnvironment(options: {
  redisUrl: string;
  models?: string;
  environment?: NodeJS.ProcessEnv;
}): NodeJS.ProcessEnv {
  return {
    ...process.env,
    REDIS_URL: options.redisUrl,
    MODELS_DIR: path.join(root, 'models'),
    MODELS: options.models ?? 'faq-matcher,efficientnet-lite0',
    PORT: '0',
    LOG_LEVEL: 'error',
    ...options.environment,
  };
}

/** Waits until the condition holds. Throws when the time is over, and says what did not happen. */
export async function waitUntil(
  what: string,
  condition: () => boolean | Promise<boolean>,
  withinMs = 20_000,
): Promise<void> {
  if (await holdsWithin(condition, withinMs)) return;
  throw new Error(`Timed out after ${withinMs} ms, waiting until ${what}.`);
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of any form.
  readonly body: any;
}

/** Sends a request and reads the answer, JSON or text. */
export async function ask(url: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(url, init);
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.includes('json');
  return {
    status: response.status,
    headers: response.headers,
    body: isJson ? JSON.parse(text) : text,
  };
}

/** POSTs JSON. */
export function post(
  url: string,
  body: unknown,
  headers: Record<string, string> = {},
  signal: AbortSignal | null = null,
): Promise<Answer> {
  return ask(url, {
    method: 'POST',
    signal,
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
}
