// The quarantine. A job that was started before and did not finish may hold an item that takes its
// worker down. Such a job is scored here, in a process of its own: what dies is that process, and
// the worker and its other batches go on. Most such jobs are innocent, so their items are tried
// together first; when that ends the process, one by one, and then it is certain which item it was.
//
// An item that ends the process also alone has been tried three times, in its first batch, here
// with its neighbours, and alone. It fails with `model_crashed`; its neighbours are answered.
//
// Those who wait have waited already, so that a process must be there at once. A worker keeps one
// *spare*: Node with our code, about 40 MB, without a model. It becomes the *cell* of the first model
// that needs one, by loading it, and ends when it was not needed for a while, since it holds a second
// copy of the model. The next spare is started once the work that waited has had the processor.

import { type ChildProcess, fork } from 'node:child_process';
import type { Logger } from '../../shared/log.js';
import type { Model } from '../../shared/models.js';
import type { Scored, ScorerItem } from '../batch/scorer.js';

const idleMs = 30_000;
const nextSpareAfterMs = 5000;

/** The processes of a worker's quarantines. */
export interface Cells {
  /** A process without a model. */
  take(): ChildProcess;
  close(): void;
}

export interface Quarantine {
  /** Does something with the quarantine when it is free; one job has it at a time. */
  inTurn<T>(work: (cell: Cell) => Promise<T>): Promise<T>;
  close(): void;
}

/** The process that has the model, seen by the job whose turn it is. Nothing rejects. */
export interface Cell {
  /** Resolves when the process has loaded the model, so that what is scored next starts at once. */
  open(): Promise<void>;
  /** Scores a batch; undefined when that ended the process. */
  score(items: readonly ScorerItem[]): Promise<Scored[] | undefined>;
}

/** First the folder of the model, then what is to be scored. */
export type ToQuarantine = string | readonly ScorerItem[];
export type FromQuarantine =
  | { readonly event: 'ready' }
  | { readonly event: 'scored'; readonly results: Scored[] };

export function makeCells(): Cells {
  let spare: ChildProcess | undefined;
  let closed = false;

  const keepSpare = () => {
    if (closed || spare) return;
    const child = startCell();
    spare = child;
    child.once('exit', () => {
      if (spare === child) spare = undefined;
    });
  };

  keepSpare();
  return {
    take() {
      const child = spare ?? startCell();
      spare = undefined;
      setTimeout(keepSpare, nextSpareAfterMs).unref();
      return child;
    },
    close() {
      closed = true;
      spare?.kill('SIGKILL');
    },
  };
}

function startCell(): ChildProcess {
  return fork(new URL('./main.js', import.meta.url), [], {
    // Scores and pixels keep their types, and errors their codes.
    serialization: 'advanced',
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
}

export function makeQuarantine(options: { model: Model; cells: Cells; log: Logger }): Quarantine {
  const { model, cells, log } = options;
  let opened: Promise<ChildProcess> | undefined;
  let last: Promise<unknown> = Promise.resolve();
  /** Jobs that have the process or wait for it. */
  let turns = 0;
  let idle: NodeJS.Timeout | undefined;

  const openChild = () => {
    const child = cells.take();
    const ready = answerOf(child).then(() => child);
    child.send(model.folder satisfies ToQuarantine);
    child.once('exit', () => {
      if (opened === ready) opened = undefined;
    });
    return ready;
  };

  const open = async () => {
    opened ??= openChild();
    // A process that cannot be opened says so when it is to score.
    await opened.catch(() => {});
  };

  const score: Cell['score'] = async (items) => {
    try {
      opened ??= openChild();
      const child = await opened;
      const hung = setTimeout(() => child.kill('SIGKILL'), model.manifest.runMsMax);
      const answer = answerOf(child).finally(() => clearTimeout(hung));
      child.send(
        items.map(({ text, bytes, top }) => ({ text, bytes, top })) satisfies ToQuarantine,
      );
      return ((await answer) as Extract<FromQuarantine, { event: 'scored' }>).results;
    } catch (error) {
      log.error({ model: model.name, items: items.length, err: error }, 'the quarantine has ended');
      opened = undefined;
      return undefined;
    }
  };

  return {
    inTurn(work) {
      clearTimeout(idle);
      turns++;
      const done = last.then(() => work({ open, score }));
      last = done
        .catch(() => {})
        .then(() => {
          if (--turns > 0) return;
          idle = setTimeout(() => void endCell(), idleMs);
          idle.unref();
        });
      return done;
    },
    close() {
      clearTimeout(idle);
      void endCell();
    },
  };

  async function endCell(): Promise<void> {
    const ending = opened;
    // The next job shall not be given to a process that is about to end.
    opened = undefined;
    const child = await ending?.catch(() => undefined);
    child?.kill('SIGKILL');
  }
}

export const modelCrashed: Scored = {
  error: {
    code: 'model_crashed',
    detail:
      'This input has ended the process of the model each time it was tried. It is not tried again.',
  },
};

/** The next message of a child; rejects when it ends before that, or cannot be reached. */
function answerOf(child: ChildProcess): Promise<FromQuarantine> {
  return new Promise((resolve, reject) => {
    const settle = (end: () => void) => {
      child.off('message', onMessage).off('exit', onExit).off('error', onError);
      end();
    };
    const onMessage = (message: unknown) => settle(() => resolve(message as FromQuarantine));
    const onExit = (code: number | null, signal: string | null) =>
      settle(() => reject(new Error(`The process ended (${signal ?? code}).`)));
    const onError = (error: Error) => settle(() => reject(error));
    child.on('message', onMessage).on('exit', onExit).on('error', onError);
  });
}
