// The processes of a worker's quarantines.
//
// Callers whose job is in quarantine already lost time to the crash, so a worker keeps a process
// ready: the *spare*, which is Node with our code but without a model, about 40 MB. It becomes the
// *cell* of the first model that needs one. The next spare starts 5 s later, to leave the processor
// to the waiting work first. If a spare cannot be started, another attempt follows after 5 s.

import { type ChildProcess, fork } from 'node:child_process';
import { coerceError } from '../../shared/errors.js';
import { type Logger, makeSeldom } from '../../shared/process/log.js';

const nextSpareAfterMs = 5000;

export interface Cells {
  /**
   * Returns a process without a model. If the process fails to start, it emits `error`, as every
   * child process does.
   * @throws Error if Node cannot even try to start one
   */
  take(): ChildProcess;
  close(): void;
}

export function makeCells(options: {
  log: Logger;
  /** Starts a process; replaced in tests. */
  start?: () => ChildProcess;
}): Cells {
  const { log, start = () => startCell() } = options;
  const warn = makeSeldom(log);
  let spare: ChildProcess | undefined;
  let timer: NodeJS.Timeout | undefined;
  let isClosed = false;

  const startLater = () => {
    clearTimeout(timer);
    timer = setTimeout(keepSpare, nextSpareAfterMs);
    timer.unref();
  };
  const onFailure = (thrown: unknown) => {
    warn({ reason: coerceError(thrown).message }, 'no process for the quarantine can be started');
    startLater();
  };
  const keepSpare = () => {
    if (isClosed || spare) return;
    try {
      const child = start();
      const forget = () => {
        if (spare === child) spare = undefined;
      };
      spare = child;
      child.once('exit', forget);
      // Never removed, because an `error` without a listener would end the worker.
      child.on('error', (error) => {
        if (spare !== child) return;
        forget();
        onFailure(error);
      });
    } catch (thrown) {
      onFailure(thrown);
    }
  };

  keepSpare();
  return {
    take() {
      const child = spare ?? start();
      spare = undefined;
      if (!isClosed) startLater();
      return child;
    },
    close() {
      isClosed = true;
      clearTimeout(timer);
      spare?.kill('SIGKILL');
    },
  };
}

/** Starts a process that can load a model. Its log is ours, unless it is ignored. */
export function startCell(output: 'inherit' | 'ignore' = 'inherit'): ChildProcess {
  return fork(new URL('./main.js', import.meta.url), [], {
    // Keeps the typed arrays of tensors, which JSON would not.
    serialization: 'advanced',
    stdio: ['ignore', output, output, 'ipc'],
  });
}
