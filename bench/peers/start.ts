// Starts a server of `bench -- peers`, alone on the machine, and ends it with all of its processes.

import { spawn } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { findFreePort } from '../../cli/redis/redis.js';
import { packageDirectory } from '../../shared/version.js';
import { makeModelsDirectory, makeProgramDirectory } from '../models.js';
import { startBenchService } from '../service.js';
import { findMarked, markedEnvironment, signalMarked } from './processes.js';
import type { Scenario } from './servers.js';

export interface StartedServer {
  readonly url: string;
  readonly pids: readonly number[];
  close(): Promise<void>;
}

export interface ServerOptions {
  readonly scenario: Scenario;
  /** How many processes run the model. */
  readonly workers: number;
}

export interface ScorelineOptions extends ServerOptions {
  /** With `python`, the questions go to the program that the peers run. */
  readonly engine: 'onnx' | 'python';
}

/** Why a peer that began to start has ended. */
export class PeerEnded extends Error {
  override readonly name = 'PeerEnded';
}

/** Installing takes minutes; Ray Serve takes 20 s to start. */
const startMsMax = 900_000;
const endMsMax = 15_000;
let starts = 0;

/** Kills what still runs. It is synchronous, so it can be the last thing that this process does. */
export function killServers(): void {
  for (let start = 1; start <= starts; start++) signalMarked(markOf(start), 'SIGKILL');
}

function markOf(start: number): string {
  return `${process.pid}-${start}`;
}

/** One API process, and `workers` worker processes. */
export async function startScoreline({
  scenario,
  workers,
  engine,
}: ScorelineOptions): Promise<StartedServer> {
  const name = scenario === 'text' ? 'faq-matcher' : 'efficientnet-lite0';
  // Several workers share the cores, as the peers' do; one has what its manifest says.
  const modelsDirectory =
    engine === 'python'
      ? await makeProgramDirectory()
      : makeModelsDirectory(name, workers > 1 ? { device: { type: 'cpu', threads: 1 } } : {});
  const mark = markOf(++starts);
  Object.assign(process.env, markedEnvironment(mark));
  const service = await startBenchService({
    models: name,
    modelsDirectory,
    roles: ['api', ...Array.from({ length: workers }, () => 'worker' as const)],
  });
  return {
    url: service.url,
    pids: findMarked(mark),
    close: () => service.close(),
  };
}

/**
 * Installs the server's packages if they are missing, and waits until it answers.
 * @param isReady whether it answers at this URL
 * @throws Error with the end of its output when it cannot be installed or started; PeerEnded if it ended by itself
 */
export async function startPeer(
  name: string,
  { scenario, workers }: ServerOptions,
  isReady: (url: string) => Promise<boolean>,
): Promise<StartedServer> {
  const mark = markOf(++starts);
  const [port, otherPort] = [await findFreePort(), await findFreePort()];
  const directory = mkdtempSync(path.join(os.tmpdir(), 'scoreline-peer-'));
  const log = path.join(directory, 'output');
  const output = openSync(log, 'w');
  const files = [`bench/peers/${name}.txt`, `bench/peers/serve_${name}.py`];
  const parameters = [scenario, workers, port, otherPort].map(String);
  const child = spawn(process.execPath, ['dist/cli/python.js', ...files, ...parameters], {
    cwd: packageDirectory(),
    env: markedEnvironment(mark),
    stdio: ['ignore', output, output],
    detached: true,
  });
  const close = async () => {
    await end(mark);
    rmSync(directory, { recursive: true, force: true });
  };
  const url = `http://127.0.0.1:${port}`;
  const until = performance.now() + startMsMax;
  while (!(await isReady(url).catch(() => false))) {
    if (child.exitCode !== null || performance.now() > until) {
      const reason = readFileSync(log, 'utf8').trim().split('\n').slice(-20).join('\n');
      const hasEnded = child.exitCode !== null;
      await close();
      throw hasEnded ? new PeerEnded(reason) : new Error(reason);
    }
    await delay(200);
  }
  return { url, pids: findMarked(mark), close };
}

async function end(mark: string): Promise<void> {
  const until = performance.now() + endMsMax;
  signalMarked(mark, 'SIGTERM');
  while (findMarked(mark).length > 0 && performance.now() < until) await delay(100);
  signalMarked(mark, 'SIGKILL');
}
