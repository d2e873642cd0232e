// A private Redis for local runs: a redis-server as a child process, which ends with ours.
//
// Between us and the server stands a guard (guard.ts), which ends the server when we are
// killed. When the server or the guard dies, both start again on the same port and data, at once or
// after a pause that grows while they keep dying. If they cannot start, `failed` resolves, and this
// file has given up.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { ScorelineError } from '../../shared/errors.js';
import { type Claim, claim } from '../../worker/files/claim.js';
import { wrong } from '../faults.js';
import { makeWritable, unwritable } from '../writable.js';
import type { ToGuard } from './guard.js';
import { findFreePort } from './redis.js';

/** The pauses before the starts that follow each other. The last one repeats. */
const pausesMs = [0, 500, 1000, 2000, 5000, 10_000];
/** After this many starts in a row that fail, there is no other. */
const failuresMax = 4;
/** A server that lived this long does not keep dying. */
const soundAfterMs = 60_000;
/** The longest path of a socket on macOS; on Linux it is 107. Node cuts off the rest without a word. */
const socketBytesMax = 103;

export interface PrivateRedis {
  /** The quickest way to it for processes of this machine: its socket, where it has one. */
  readonly url: string;
  readonly tcpUrl: string;
  /** Resolves with the reason when the server has died and cannot be started again. */
  readonly failed: Promise<ScorelineError>;
  /** Stops the server and waits until it has exited. Its data stays. */
  close(): Promise<void>;
  /** Kills the server at once. Its data stays. */
  kill(): Promise<void>;
}

export interface PrivateRedisOptions {
  /** The path of redis-server. */
  readonly server: string;
  /** Where the server keeps its data, with an append-only file. */
  readonly directory: string;
  /** Tells the user that the server has died or runs again. */
  readonly say: (line: string) => void;
}

interface Guard {
  readonly process: ChildProcess;
  /** Resolves with how the server ended. */
  readonly exited: Promise<string>;
}

/**
 * Starts a Redis on a free port of 127.0.0.1.
 * @throws ScorelineError `configuration_invalid` if a Redis already runs on this folder, or if the
 *   server does not start
 */
export async function startRedis(options: PrivateRedisOptions): Promise<PrivateRedis> {
  makeWritable('DATA_DIR', options.directory);
  // As Redis names it, so a second start is known that comes by another name.
  const directory = realpathSync(options.directory);
  const portFile = path.join(directory, 'port');
  // Until a server listens, a start beside this one would not find it.
  const starting = await claim(path.join(directory, 'starting'), {
    onWait: () => options.say(`Waiting for another start on ${directory} …`),
  });
  try {
    await refuseSecondStart(portFile, directory);
    const place = { port: await findFreePort(), portFile, socket: await findSocket() };
    const redis = new Supervised({ ...options, directory }, place);
    await redis.start(starting);
    return redis;
  } finally {
    await starting.end();
  }
}

interface Place {
  readonly port: number;
  readonly portFile: string;
  readonly socket: string | undefined;
}

class Supervised implements PrivateRedis {
  readonly url: string;
  readonly tcpUrl: string;
  readonly failed: Promise<ScorelineError>;
  readonly #options: PrivateRedisOptions;
  readonly #place: Place;
  #guard: Guard | undefined;
  #isClosing = false;
  #fail: (error: ScorelineError) => void = () => {};

  constructor(options: PrivateRedisOptions, place: Place) {
    this.#options = options;
    this.#place = place;
    this.tcpUrl = `redis://127.0.0.1:${place.port}`;
    this.url =
      place.socket === undefined
        ? this.tcpUrl
        : `unix://${place.socket.split('/').map(encodeURIComponent).join('/')}`;
    this.failed = new Promise((resolve) => {
      this.#fail = resolve;
    });
  }

  /**
   * Starts the server, and again whenever it dies.
   * @param starting ends when the server listens. It may load its data for minutes after that.
   */
  async start(starting: Claim): Promise<void> {
    try {
      this.#notePort();
      await this.#startOnce(starting);
    } catch (thrown) {
      await this.kill();
      throw thrown;
    }
    void this.#keepRunning();
  }

  #notePort(): void {
    try {
      writeFileSync(this.#place.portFile, String(this.#place.port));
    } catch (thrown) {
      throw unwritable('DATA_DIR', this.#options.directory, thrown);
    }
  }

  async close(): Promise<void> {
    await this.#end('stop');
  }

  async kill(): Promise<void> {
    await this.#end('kill');
  }

  async #end(how: 'stop' | 'kill'): Promise<void> {
    this.#isClosing = true;
    if (this.#guard) tell(this.#guard, how);
    await this.#guard?.exited;
    const { portFile, socket } = this.#place;
    rmSync(portFile, { force: true });
    if (socket) rmSync(path.dirname(socket), { recursive: true, force: true });
  }

  /** Starts the guard and the server, and waits until the server answers. */
  async #startOnce(starting?: Claim): Promise<void> {
    const { server, directory } = this.#options;
    const { port, socket } = this.#place;
    // The guard removes it when the server ends, and so may what cleans up temporary files.
    if (socket) mkdirSync(path.dirname(socket), { recursive: true, mode: 0o700 });
    const guard = startGuard([
      ...[server, directory, String(port)],
      ...[socket ?? '', starting?.folder ?? ''],
    ]);
    this.#guard = guard;
    const onListen = () => {
      tell(guard, 'listening');
      void starting?.end();
    };
    if (await answersBefore(guard.exited, this.tcpUrl, onListen)) return;
    guard.process.kill('SIGKILL');
    throw wrong(
      `${path.basename(server)} did not start (${await guard.exited}). ${path.join(directory, 'redis.log')} says why.`,
    );
  }

  async #keepRunning(): Promise<void> {
    let deaths = 0;
    for (;;) {
      const startedMs = performance.now();
      const how = await this.#guard?.exited;
      if (this.#isClosing) return;
      if (performance.now() - startedMs > soundAfterMs) deaths = 0;
      const pauseMs = pauseAfter(deaths++);
      const when = pauseMs === 0 ? 'now' : `in ${pauseMs / 1000} s`;
      this.#options.say(`Redis has died (${how}). It is started again ${when}, on the same data.`);
      await delay(pauseMs);
      const failure = await this.#startAgain();
      if (this.#isClosing) return;
      if (failure) return this.#fail(failure);
      this.#options.say('Redis runs again.');
    }
  }

  /** Returns the last failure, after several. */
  async #startAgain(): Promise<ScorelineError | undefined> {
    for (let failures = 1; !this.#isClosing; failures++) {
      try {
        await endLeftover(this.#place.port, this.#options.directory);
        if (this.#isClosing) return undefined;
        await this.#startOnce();
        return undefined;
      } catch (error) {
        if (!(error instanceof ScorelineError) || failures === failuresMax) {
          return wrong(
            `Redis has died and could not be started again in ${failures} attempts: ${(error as Error).message}`,
          );
        }
        await delay(pauseAfter(failures));
      }
    }
    return undefined;
  }
}

/**
 * Returns a path for a socket, in a folder that only we can enter; undefined where that cannot be. Data folders can lie
 * where there are no sockets, such as in a shared folder of another system, and their paths can be too long for one.
 */
async function findSocket(): Promise<string | undefined> {
  const probe = createServer();
  let folder: string | undefined;
  try {
    folder = mkdtempSync(path.join(os.tmpdir(), 'scoreline-redis-'));
    const socket = path.join(folder, 'redis.sock');
    if (Buffer.byteLength(socket) > socketBytesMax) throw new Error('The path is too long.');
    await once(probe.listen(socket), 'listening');
    return socket;
  } catch {
    if (folder !== undefined) rmSync(folder, { recursive: true });
    return undefined;
  } finally {
    probe.close();
  }
}

function pauseAfter(failures: number): number {
  return pausesMs[Math.min(failures, pausesMs.length - 1)] as number;
}

function tell({ process: guard }: Guard, message: ToGuard): void {
  if (guard.connected) guard.send(message, () => {});
}

function startGuard(parameters: string[]): Guard {
  const guard = fork(new URL('./guard.js', import.meta.url), parameters, {
    detached: true,
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  let how = '';
  guard.on('message', (message) => {
    how = String(message);
  });
  return {
    process: guard,
    exited: new Promise((resolve) =>
      guard.once('exit', (code, signal) => resolve(how || `its guard ended: ${signal ?? code}`)),
    ),
  };
}

/** Resolves to whether the server answers before it exits, however long it loads its data. */
async function answersBefore(
  exited: Promise<unknown>,
  url: string,
  onListen: () => void,
): Promise<boolean> {
  const redis = new Redis(url, { maxRetriesPerRequest: null, retryStrategy: () => 20 });
  redis.on('error', () => {});
  redis.once('connect', onListen);
  try {
    return await Promise.race([redis.ping().then(() => true), exited.then(() => false)]);
  } finally {
    redis.disconnect();
  }
}

/** Two servers that append to the same file would corrupt it. */
async function refuseSecondStart(portFile: string, directory: string): Promise<void> {
  if (!existsSync(portFile)) return;
  const port = Number(readFileSync(portFile, 'utf8'));
  const running = await findServer(port, directory);
  running?.disconnect();
  if (!running) return;
  throw wrong(
    `Scoreline is already running here: a Redis on port ${port} uses ${directory}. Stop it first, or give this one data and a port of its own, for example: DATA_DIR=data2 PORT=8081 npm start`,
  );
}

/** Ends a server whose guard was killed. */
async function endLeftover(port: number, directory: string): Promise<void> {
  const running = await findServer(port, directory);
  if (!running) return;
  const ended = new Promise((resolve) => running.once('end', resolve));
  running.shutdown('NOSAVE').catch(() => {});
  await ended;
}

/** Connects to the Redis on a port if it keeps its data in this folder, also while it loads them. */
async function findServer(port: number, directory: string): Promise<Redis | undefined> {
  const redis = new Redis({
    port,
    host: '127.0.0.1',
    lazyConnect: true,
    enableReadyCheck: false,
    commandTimeout: 2000,
    retryStrategy: () => null,
  });
  redis.on('error', () => {});
  try {
    await redis.connect();
    const [, running] = (await redis.config('GET', 'dir')) as string[];
    if (running === directory) return redis;
  } catch {
    // Nothing there, or something else.
  }
  redis.disconnect();
  return undefined;
}
