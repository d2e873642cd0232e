// The quarantine. If a job was started before and did not finish, one of its items may have crashed
// the worker. The quarantine scores such a job in a separate process. If an item crashes that
// process, the worker and its other batches go on.
//
// Most such jobs are innocent, so a batch's items are tried together first. If that ends the
// process, they are tried one by one, which identifies the culprit. A culprit has then been tried
// three times: in the worker, in quarantine with its neighbours, and alone. It fails with
// `model_crashed`. Its neighbours are answered.
//
// An item is blamed only for what happens once the process has it. If the process cannot be
// started, or does not load the model in time, `NoCell` is thrown and the job goes back to the
// queue. If it never will, because the files have changed, the worker itself tries the items one by one.
// `NoCell` is also thrown once the quarantine is closed, which kills the process inside of a batch.
//
// The process holds a second copy of the model, so it is ended after 30 s without work.

import type { ChildProcess } from 'node:child_process';
import { coerceError, type ErrorCode } from '../../shared/errors.js';
import type { Logger } from '../../shared/process/log.js';
import type { Model } from '../../shared/registry/models.js';
import type { Scored, ScorerItem } from '../batch/scorer.js';
import type { Cells } from './cells.js';
import type { FromQuarantine, ToQuarantine } from './messages.js';

const idleMs = 30_000;
/** Generous, because the machine may be overloaded just when a suspect comes. */
const loadMsLeast = 15_000;
const loadTimes = 5;

export interface Quarantine {
  /** Runs `work` when the quarantine is free. Only one job has it at a time. */
  inTurn<T>(work: (cell: Cell) => Promise<T>): Promise<T>;
  /** Kills the process. There is none from then on. */
  close(): void;
}

/** The process with the model, as the job whose turn it is sees it. */
export interface Cell {
  /**
   * Resolves when the process has loaded the model, so the next batch starts at once.
   * @throws NoCell if there is no process with the model
   */
  open(): Promise<void>;
  /**
   * Scores a batch of items with the same `shapeKey`. Resolves to undefined if the batch ended the
   * process.
   * @throws NoCell if no process could be given the batch
   */
  score(items: readonly ScorerItem[]): Promise<Scored[] | undefined>;
}

/** There is no process with the model, and no item is to blame. */
export class NoCell extends Error {
  override readonly name = 'NoCell';
  /** Whether the files of the model are gone or changed since the worker loaded it, so no process will ever have it. */
  readonly isForFiles: boolean;

  constructor(message: string, options: { cause?: unknown; isForFiles?: boolean } = {}) {
    super(message, options);
    this.isForFiles = options.isForFiles ?? false;
  }
}

/** The process says that it cannot load the model. */
class NotLoaded extends Error {
  readonly isForFiles: boolean;

  constructor({ reason, code }: { reason: string; code?: ErrorCode | undefined }) {
    super(reason);
    this.isForFiles = code === 'model_file_missing' || code === 'model_file_wrong';
  }
}

/** The result of an item that ended the process each time. */
export const modelCrashed: Scored = {
  error: {
    code: 'model_crashed',
    detail:
      'This input ended the process of the model each time it was tried. It is not tried again.',
  },
};

/**
 * Returns how many milliseconds a process may take to load a model that took the worker `loadMs`.
 */
export function loadLimit(loadMs: number, leastMs = loadMsLeast): number {
  return Math.max(leastMs, loadTimes * loadMs);
}

/** Makes a model's quarantine. Its process is killed if loading takes longer than `loadMsMax`. */
export function makeQuarantine(options: {
  model: Model;
  cells: Cells;
  log: Logger;
  loadMsMax?: number;
}): Quarantine {
  const room = new Room(options);
  let last: Promise<unknown> = Promise.resolve();
  /** The number of jobs that have the process or wait for it. */
  let turns = 0;
  let idle: NodeJS.Timeout | undefined;

  return {
    inTurn(work) {
      clearTimeout(idle);
      turns++;
      const done = last.then(() => work(room));
      last = done
        .catch(() => {})
        .then(() => {
          if (--turns > 0) return;
          idle = setTimeout(() => room.empty(), idleMs);
          idle.unref();
        });
      return done;
    },
    close() {
      clearTimeout(idle);
      room.close();
    },
  };
}

/** Holds the process of a quarantine, which has at most one. */
class Room implements Cell {
  readonly #model: Model;
  readonly #cells: Cells;
  readonly #log: Logger;
  readonly #loadMsMax: number;
  /** The process, and a promise of it that resolves once it has the model. */
  #child: ChildProcess | undefined;
  #loaded: Promise<ChildProcess> | undefined;
  #isClosed = false;

  constructor(options: Parameters<typeof makeQuarantine>[0]) {
    const { model, cells, log, loadMsMax = loadLimit(0) } = options;
    this.#model = model;
    this.#cells = cells;
    this.#log = log;
    this.#loadMsMax = loadMsMax;
  }

  async open(): Promise<void> {
    await this.#load();
  }

  async score(items: readonly ScorerItem[]): Promise<Scored[] | undefined> {
    const child = await this.#load();
    const hung = setTimeout(() => child.kill('SIGKILL'), this.#model.manifest.runMsMax);
    try {
      const answer = answerOf(child);
      child.send(
        items.map(({ inputs, top, outputs }) => ({ inputs, top, outputs })) satisfies ToQuarantine,
      );
      const message = (await answer) as Extract<FromQuarantine, { event: 'scored' }>;
      return message.results;
    } catch (thrown) {
      this.empty();
      if (this.#isClosed || !(thrown instanceof ProcessEnded)) throw this.#noCell(thrown);
      const fields = { model: this.#model.name, items: items.length, err: thrown };
      this.#log.error(fields, 'the quarantine has ended');
      return undefined;
    } finally {
      clearTimeout(hung);
    }
  }

  /** Kills the process. The next job gets another one. */
  empty(): void {
    this.#child?.kill('SIGKILL');
    this.#child = undefined;
    this.#loaded = undefined;
  }

  /** Kills the process. No job gets another one. */
  close(): void {
    this.#isClosed = true;
    this.empty();
  }

  #load(): Promise<ChildProcess> {
    if (this.#loaded) return this.#loaded;
    const loading = this.#startLoad();
    this.#loaded = loading;
    // Forget a failed load, so the next job tries again.
    loading.catch(() => {
      if (this.#loaded === loading) this.#loaded = undefined;
    });
    return loading;
  }

  async #startLoad(): Promise<ChildProcess> {
    let timer: NodeJS.Timeout | undefined;
    try {
      if (this.#isClosed) throw new Error('the quarantine is closed');
      const child = this.#cells.take();
      this.#child = child;
      child.once('exit', () => {
        if (this.#child === child) this.empty();
      });
      // An `error` without a listener would end the worker. It comes when the process could not be
      // started or sent a message, and `answerOf` reports it while there is something to wait for.
      child.on('error', () => {});
      timer = setTimeout(() => child.kill('SIGKILL'), this.#loadMsMax);
      const ready = answerOf(child);
      child.send({ model: this.#model } satisfies ToQuarantine);
      const message = await ready;
      if (message.event === 'failed') throw new NotLoaded(message);
      return child;
    } catch (thrown) {
      this.empty();
      throw this.#noCell(thrown);
    } finally {
      clearTimeout(timer);
    }
  }

  #noCell(thrown: unknown): NoCell {
    const { name } = this.#model;
    const reason = coerceError(thrown).message;
    return new NoCell(`No process had the model ${name} within ${this.#loadMsMax} ms: ${reason}`, {
      cause: thrown,
      isForFiles: thrown instanceof NotLoaded && thrown.isForFiles,
    });
  }
}

/** The process ended while it had work to do. */
export class ProcessEnded extends Error {
  /** Whether somebody killed it: the system does, when memory is short. */
  readonly isKilled: boolean;

  constructor(code: number | null, signal: string | null) {
    super(`The process ended (${signal ?? code}).`);
    this.isKilled = signal === 'SIGKILL';
  }
}

/**
 * Waits for the next message of a child.
 * @throws ProcessEnded if the child ends first; Error if it cannot be started or reached
 */
export function answerOf(child: ChildProcess): Promise<FromQuarantine> {
  const answer = new Promise<FromQuarantine>((resolve, reject) => {
    const settle = (end: () => void) => {
      child.off('message', onMessage).off('exit', onExit).off('error', onError);
      end();
    };
    const onMessage = (message: unknown) => settle(() => resolve(message as FromQuarantine));
    const onExit = (code: number | null, signal: string | null) =>
      settle(() => reject(new ProcessEnded(code, signal)));
    const onError = (error: Error) => settle(() => reject(error));
    child.on('message', onMessage).on('exit', onExit).on('error', onError);
  });
  // If the caller throws before it awaits this promise, a rejection must not count as unhandled.
  answer.catch(() => {});
  return answer;
}
