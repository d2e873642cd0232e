// The engine of Python programs, seen from the worker. Each engine is one process (host.py), which loads
// the program once and then predicts one batch after the other.
//
// As with ONNX Runtime, an engine that ends unasked or hangs is lost, and `onLost` is called before any of
// its runs is rejected. The process ends with its worker, however the worker ends.

import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import process from 'node:process';
import type { Duplex, Readable } from 'node:stream';
import { ScorelineError } from '../../../shared/errors.js';
import type { Device } from '../../../shared/manifest/manifest.js';
import type { Logger } from '../../../shared/process/log.js';
import { packageDirectory } from '../../../shared/version.js';
import type { Engine, Values, Watch } from '../engine.js';
import { Runs } from '../runs.js';
import { ensureEnvironment, type Packages } from './environment.js';
import { type Frame, FrameReader, writeFrame } from './frames.js';
import { killGroup, killOnAbort } from './group.js';
import { logLines } from './output-lines.js';
import { variablesOfPrograms } from './variables.js';

export interface PythonOptions extends Packages, Values {
  /** The path of the program. */
  readonly file: string;
  /** What the program gets: texts, pictures, JSON, the bytes of files, or arrays by their names. */
  readonly kind: 'text' | 'image' | 'table' | 'json' | 'file' | 'tensors';
  /** The names of the outputs that are JSON. */
  readonly json: readonly string[];
  readonly device: Device;
  /** How long the program may take to load. */
  readonly loadMsMax: number;
}

type FromHost =
  | { type: 'ready' }
  | { type: 'failed'; reason: string; trace: string }
  | { type: 'done'; id: number; computeMs: number }
  | { type: 'error'; id: number; reason: string; trace: string; isForCaller: boolean };

/** How long the streams of an ended process are read that something else still holds. */
const lastWordsMs = 1000;
const loadingSaidEveryMs = 30_000;

const hostFile = path.join(packageDirectory(), 'worker/engine/python/host.py');

/**
 * Loads a Python program in a process of its own, after making its environment if necessary.
 * @throws ScorelineError `environment_failed` if the environment cannot be made; `memory_insufficient` if the process is
 * killed while the program is loaded; `model_file_wrong` if the program cannot be loaded
 */
export async function openPythonEngine(
  given: PythonOptions,
  log: Logger,
  watch: Watch,
): Promise<Engine> {
  // The program runs in its folder, where a relative path would lead elsewhere.
  const [folder, file] = [path.resolve(given.folder), path.resolve(given.file)];
  const { kind, json, inputs, outputs, device } = given;
  const { signal } = watch;
  const python = await ensureEnvironment({ ...given, folder }, log, signal);
  signal?.throwIfAborted();
  const host = { folder, file, kind, json, inputs, outputs, parent: process.pid };
  const child = spawn(python, ['-u', hostFile, JSON.stringify(host)], {
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    env: environmentOf(device),
    // A signal from the terminal is for the worker, which finishes its runs first.
    detached: true,
  });
  killOnAbort(child, signal);
  logLines(child.stdout as Readable, log, { stream: 'stdout' });
  const lastError = logLines(child.stderr as Readable, log, { stream: 'stderr' });
  const stream = child.stdio[3] as Duplex;
  const names = outputs.map(({ name }) => name);
  const runs = new Runs({
    runtime: path.basename(file),
    onLost: watch.onLost,
    kill: () => killGroup(child),
  });
  await loading(readAnswers({ child, stream, file, runs, log, lastError }), {
    ...{ child, file, log, msMax: given.loadMsMax },
  });
  return {
    device: { type: device.type },
    inputs,
    outputs,
    run: (batch, outputNames = names) =>
      runs.start(watch, (id) => writeFrame(stream, { id, outputs: outputNames }, batch)),
    close: async () => {
      await runs.finished(watch);
      runs.end();
      await endOf(child, stream);
    },
  };
}

/** Follows what the process answers. Resolves when the program is loaded. */
function readAnswers(of: {
  child: ChildProcess;
  stream: Duplex;
  file: string;
  runs: Runs;
  log: Logger;
  lastError: () => string;
}): Promise<void> {
  const { child, stream, file, runs, log, lastError } = of;
  return new Promise((resolve, reject) => {
    let isReady = false;
    const lose = (reason: string, cause?: ScorelineError) => {
      if (isReady) runs.lose(reason, cause);
      reject(cause ?? unloadable(file, reason));
    };
    const settle = ({ header, tensors }: Frame<FromHost>) => {
      switch (header.type) {
        case 'ready':
          isReady = true;
          resolve();
          break;
        case 'failed':
          log.error({ trace: header.trace }, 'the program could not be loaded');
          reject(unloadable(file, header.reason));
          break;
        case 'done':
          runs.finish(header.id, { outputs: tensors, computeMs: header.computeMs });
          break;
        case 'error':
          log[header.isForCaller ? 'debug' : 'warn'](
            { trace: header.trace },
            'the program failed on a batch',
          );
          runs.fail(header.id, {
            reason: header.reason,
            reader: header.isForCaller ? 'caller' : 'log',
          });
      }
    };
    const reader = new FrameReader<FromHost>(settle);
    stream.on('data', (piece: Buffer) => {
      try {
        reader.read(piece);
      } catch (thrown) {
        killGroup(child);
        lose(`the process of the program sent what is no frame: ${(thrown as Error).message}`);
      }
    });
    // The end of the process says more.
    stream.on('error', () => {});
    child.on('error', (error) =>
      lose(`the process of the program cannot be run: ${error.message}`),
    );
    const end = (code: number | null, signal: NodeJS.Signals | null) => {
      const reason = `the process of the program has ended (${describeEnd(code, signal, lastError)})`;
      lose(reason, signal === 'SIGKILL' ? killed(file) : undefined);
    };
    // Processes that the program has started may hold its streams open, and have no work left.
    let late: NodeJS.Timeout | undefined;
    child.on('exit', (code, signal) => {
      killGroup(child);
      late = setTimeout(end, lastWordsMs, code, signal);
    });
    child.on('close', (code, signal) => {
      clearTimeout(late);
      end(code, signal);
    });
  });
}

function describeEnd(
  code: number | null,
  signal: NodeJS.Signals | null,
  lastError: () => string,
): string {
  // Python ends with 1 after it has printed an exception that nobody caught.
  return code === 1 && lastError() !== '' ? `1: ${lastError()}` : String(signal ?? code);
}

/** Waits until a program is loaded, and says that it does. One that fails or takes too long is ended. */
async function loading(
  loaded: Promise<void>,
  of: { child: ChildProcess; file: string; log: Logger; msMax: number },
): Promise<void> {
  const { child, file, log, msMax } = of;
  const startedAt = performance.now();
  const progress = setInterval(() => {
    const seconds = Math.round((performance.now() - startedAt) / 1000);
    log.warn({ file, seconds }, 'the program is still loading');
  }, loadingSaidEveryMs);
  let late: NodeJS.Timeout | undefined;
  const lateness = new Promise<never>((_, reject) => {
    const reason = `loading takes longer than loadMsMax, ${msMax} ms`;
    late = setTimeout(() => reject(unloadable(file, reason)), msMax);
  });
  try {
    await Promise.race([loaded, lateness]);
  } catch (thrown) {
    // A thread that the program has started may keep its process alive.
    killGroup(child);
    throw thrown;
  } finally {
    clearInterval(progress);
    clearTimeout(late);
  }
}

/** Closes the stream, at which the process ends by itself. */
function endOf(child: ChildProcess, stream: Duplex): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    // Threads that the program has started may keep the process alive, and have no work left.
    const late = setTimeout(() => killGroup(child), 1000);
    child.once('exit', () => {
      clearTimeout(late);
      resolve();
    });
    stream.destroy();
  });
}

function environmentOf({ type, id, threads }: Device): NodeJS.ProcessEnv {
  const limit = String(threads);
  const limits = { OMP_NUM_THREADS: limit, OPENBLAS_NUM_THREADS: limit, MKL_NUM_THREADS: limit };
  return {
    ...variablesOfPrograms(),
    ...(threads > 0 && limits),
    SCORELINE_DEVICE: type === 'cuda' ? `cuda:${id}` : type,
    PYTHONUNBUFFERED: '1',
  };
}

/** The system kills the process that takes the most memory when it is short, and may have more of it later. */
function killed(file: string): ScorelineError {
  return new ScorelineError(
    'memory_insufficient',
    `${file}: expected a program that can be loaded and warmed up; its process was killed (SIGKILL) meanwhile, as happens when memory is short. Give the worker more memory or fewer models, or load less.`,
  );
}

function unloadable(file: string, reason: string): ScorelineError {
  const remedy = reason.startsWith('ModuleNotFoundError')
    ? '. Name its package in the requirements, or put the module beside the program'
    : '';
  return new ScorelineError(
    'model_file_wrong',
    `${file}: expected a program that can be loaded. It says: ${reason}${remedy}`,
  );
}
