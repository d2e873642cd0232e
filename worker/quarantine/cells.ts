// The processes of a worker's quarantines.
//
// Callers whose job is in quarantine already lost time to the crash, so a worker keeps a process
// ready: the *spare*, Node with our code, about 40 MB, without a model. It becomes the *cell* of the
// first model that needs one. The next spare is started once the work that waited has had the
// processor. A machine that cannot start a process now may be able to later, so that is tried again.

import { type ChildProcess, fork } from 'node:child_process';
import { coerceError } from '../../shared/errors.js';
import { type Logger, makeSeldom } from '../../shared/log.js';

const nextSpareAfterMs = 5000;

export interface Cells {
  /**
   * A process without a model. One that cannot be started says so by the event `error`, as every
   * child process does.
   * @throws Error when not even that can be tried
   */
  take(): ChildProcess;
  close(): void;
}

export function makeCells(options: {
  log: Logger;
  /** Starts a process; replaced in tests. */
  start?: () => ChildProcess;
}): Cells {
  const { log, start = startCell } = options;
  const warn = makeSeldom((fields, message) => log.warn(fields, message));
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
      // The listener stays, since an error without one would end the worker.
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

function startCell(): ChildProcess {
  return fork(new URL('./main.js', import.meta.url), [], {
    // Tensors keep their types, and errors their codes.
    serialization: 'advanced',
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
}
