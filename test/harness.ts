// Shared by the tests: a real Redis, a real API and real workers. A test ends everything it starts,
// and waits for conditions instead of times.

import { readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { waitUntil as holdsWithin } from '../chaos/wait.js';
import { type Build, type Child, spawnChild } from '../cli/processes/children.js';
import { findModel, type Model, readModels } from '../shared/registry/models.js';
import { packageDirectory } from '../shared/version.js';
import { jobQueueOf } from '../shared/wire/priority.js';

export const root = packageDirectory();

export { openRedis, openRedisForAll, type TestRedis } from './redis/redis.js';

/** One line in the log of a process. */
export interface LogLine {
  readonly pid: number;
  readonly level: number;
  readonly msg: string;
  readonly [field: string]: unknown;
}

export interface Service {
  readonly url: string;
  /** The port of gRPC; 0 unless GRPC_PORT is set. */
  readonly grpcPort: number;
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
  const [{ port, grpcPort }] = await Promise.all([
    api.ready,
    ...workers.map((worker) => worker.ready),
  ]);
  return {
    url: `http://127.0.0.1:${port}`,
    grpcPort: Number(grpcPort ?? 0),
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

/** Reads a model with its files, of this repository unless there is another folder. */
export function readModel(name: string, directory = path.join(root, 'models')): Model {
  return findModel(readModels({ directory, names: [name], filesNeeded: true }), name);
}

/** The BullMQ queue of a model of this repository. */
export function queueOf(model: string): string {
  const directory = path.join(root, 'models');
  return findModel(readModels({ directory, filesNeeded: false }), model).queue;
}

/** Returns the queue of a model's bulk jobs, such as those of requests with `Prefer: respond-async`. */
export function bulkQueueOf(model: string): string {
  return jobQueueOf(queueOf(model), 'bulk');
}

/** Returns the environment of an API or a worker under test. */
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

/** Whether a process runs; one that has ended and that nobody has asked about yet does not. */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

/** Waits until the condition holds. Throws when the time is over, and says what did not happen. */
export async function waitUntil(
  what: string,
  condition: () => boolean | Promise<boolean>,
  withinMs = 60_000,
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
  // Not JSON in lines
  const isJson = /[/+]json/.test(response.headers.get('content-type') ?? '');
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
