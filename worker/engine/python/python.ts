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
import type { Logger } from '../../../shared/log.js';
import type { Device } from '../../../shared/manifest.js';
import { packageDirectory } from '../../../shared/version.js';
import type { Engine, TensorValue, Watch } from '../engine.js';
import { Runs } from '../runs.js';
import { ensureEnvironment, type Packages } from './environment.js';
import { type Frame, FrameReader, writeFrame } from './frames.js';
import { logLines } from './output-lines.js';

export interface PythonOptions extends Packages {
  /** The path of the program. */
  readonly file: string;
  /** What the program gets: texts, pictures, or arrays by their names. */
  readonly kind: 'text' | 'image' | 'table' | 'tensors';
  readonly inputs: readonly TensorValue[];
  readonly outputs: readonly TensorValue[];
  readonly device: Device;
}

type FromHost =
  | { type: 'ready' }
  | { type: 'failed'; reason: string; trace: string }
  | { type: 'done'; id: number; computeMs: number }
  | { type: 'error'; id: number; reason: string; trace: string; isForCaller: boolean };

const hostFile = path.join(packageDirectory(), 'worker/engine/python/host.py');

/**
 * Loads a Python program in a process of its own, after making its environment if necessary.
 * @throws ScorelineError `model_file_wrong` if the environment cannot be made or the program cannot be
 * loaded
 */
export async function openPythonEngine(
  given: PythonOptions,
  log: Logger,
  watch: Watch,
): Promise<Engine> {
  // The program runs in its folder, where a relative path would lead elsewhere.
  const [folder, file] = [path.resolve(given.folder), path.resolve(given.file)];
  const { kind, inputs, outputs, device } = given;
  const python = await ensureEnvironment({ ...given, folder }, log);
  const host = { folder, file, kind, inputs, outputs, parent: process.pid };
  const child = spawn(python, ['-u', hostFile, JSON.stringify(host)], {
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    env: environmentOf(device),
    // A signal from the terminal is for the worker, which finishes its runs first.
    detached: true,
  });
  logLines(child.stdout as Readable, log, { stream: 'stdout' });
  logLines(child.stderr as Readable, log, { stream: 'stderr' });
  const stream = child.stdio[3] as Duplex;
  const names = outputs.map(({ name }) => name);
  const runs = new Runs(watch, {
    runtime: path.basename(file),
    send: (id, batch, outputNames = names) =>
      writeFrame(stream, { id, outputs: outputNames }, batch),
    end: () => endOf(child, stream),
  });
  await readAnswers({ child, stream, file, runs, log });
  return {
    device: { type: device.type },
    inputs,
    outputs,
    run: (batch, outputNames) => runs.start(batch, outputNames),
    close: () => runs.close(),
  };
}

/** Follows what the process answers. Resolves when the program is loaded. */
function readAnswers(of: {
  child: ChildProcess;
  stream: Duplex;
  file: string;
  runs: Runs;
  log: Logger;
}): Promise<void> {
  const { child, stream, file, runs, log } = of;
  return new Promise((resolve, reject) => {
    let isReady = false;
    const lose = (reason: string) => {
      if (isReady) runs.lose(reason);
      reject(unloadable(file, reason));
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
          log.debug({ trace: header.trace }, 'the program failed on a batch');
          runs.fail(header.id, header);
      }
    };
    const reader = new FrameReader<FromHost>(settle);
    stream.on('data', (piece: Buffer) => {
      try {
        reader.read(piece);
      } catch (thrown) {
        child.kill('SIGKILL');
        lose(`the process of the program sent what is no frame: ${(thrown as Error).message}`);
      }
    });
    // The end of the process says more.
    stream.on('error', () => {});
    child.on('error', (error) =>
      lose(`the process of the program cannot be run: ${error.message}`),
    );
    child.on('close', (code, signal) =>
      lose(`the process of the program has ended (${signal ?? code})`),
    );
  });
}

/** Closes the stream, at which the process ends by itself. */
function endOf(child: ChildProcess, stream: Duplex): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    // What the program started may keep the process alive, and it has nothing left to do.
    const late = setTimeout(() => child.kill('SIGKILL'), 1000);
    child.once('exit', () => {
      clearTimeout(late);
      resolve();
    });
    stream.destroy();
  });
}

/** The variables of the worker, without those that are its own business, such as the password of Redis. */
function environmentOf({ type, id, threads }: Device): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !isOfWorker.test(name));
  const limit = String(threads);
  const limits = { OMP_NUM_THREADS: limit, OPENBLAS_NUM_THREADS: limit, MKL_NUM_THREADS: limit };
  return {
    ...Object.fromEntries(own),
    ...(threads > 0 && limits),
    SCORELINE_DEVICE: type === 'cuda' ? `cuda:${id}` : type,
    PYTHONUNBUFFERED: '1',
  };
}

const isOfWorker = /^(?:REDIS_|API_KEY|WEBHOOK_|APPLICATIONINSIGHTS_|OTEL_|NODE_)/;

function unloadable(file: string, reason: string): ScorelineError {
  return new ScorelineError(
    'model_file_wrong',
    `${file}: expected a program that can be loaded. It says: ${reason}`,
  );
}
