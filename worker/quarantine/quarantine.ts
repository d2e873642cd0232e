// The quarantine. A job that was started before and did not finish may hold an item that takes its
// worker down. Such a job is scored here, in a process of its own: what dies is that process, and
// the worker and its other batches go on. Most such jobs are innocent, so their items are tried
// together first; when that ends the process, one by one, and then it is certain which item it was.
//
// An item that ends the process also alone has been tried three times, in its first batch, here
// with its neighbours, and alone. It fails with `model_crashed`; its neighbours are answered.
//
// An item is to blame only for what happens once the process has it. A process that cannot be
// started, or that does not load the model, or not in time, is `NoCell`: the job goes back.
//
// The process holds a second copy of the model, so it ends when it was not needed for a while.

import type { ChildProcess } from 'node:child_process';
import { coerceError } from '../../shared/errors.js';
import type { Logger } from '../../shared/log.js';
import type { Model } from '../../shared/models.js';
import type { Scored, ScorerItem } from '../batch/scorer.js';
import type { Cells } from './cells.js';
import type { FromQuarantine, ToQuarantine } from './messages.js';

const idleMs = 30_000;
/** The machine may be short of everything just when it has a suspect. */
const loadMsMin = 15_000;
const loadTimes = 5;

export interface Quarantine {
  /** Does something with the quarantine when it is free; one job has it at a time. */
  inTurn<T>(work: (cell: Cell) => Promise<T>): Promise<T>;
  close(): void;
}

/** The process that has the model, seen by the job whose turn it is. */
export interface Cell {
  /**
   * Resolves when the process has loaded the model, so what is scored next starts at once.
   * @throws NoCell
   */
  open(): Promise<void>;
  /**
   * Scores a batch of items with the same `shapeKey`; undefined when that ended the process.
   * @throws NoCell when there is no process that could be given the batch
   */
  score(items: readonly ScorerItem[]): Promise<Scored[] | undefined>;
}

/** There is no process with the model, for no fault of an item. */
export class NoCell extends Error {
  override readonly name = 'NoCell';
}

export const modelCrashed: Scored = {
  error: {
    code: 'model_crashed',
    detail:
      'This input has ended the process of the model each time it was tried. It is not tried again.',
  },
};

/** How long a process may take to load a model that took the worker `loadMs`. */
export function loadLimit(loadMs: number): number {
  return Math.max(loadMsMin, loadTimes * loadMs);
}

/** `loadMsMax`: how long the process may take to load the model. */
export function makeQuarantine(options: {
  model: Model;
  cells: Cells;
  log: Logger;
  loadMsMax?: number;
}): Quarantine {
  const room = new Room(options);
  const cell: Cell = { open: () => room.open(), score: (items) => room.score(items) };
  let last: Promise<unknown> = Promise.resolve();
  /** Jobs that have the process or wait for it. */
  let turns = 0;
  let idle: NodeJS.Timeout | undefined;

  return {
    inTurn(work) {
      clearTimeout(idle);
      turns++;
      const done = last.then(() => work(cell));
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
      room.empty();
    },
  };
}

/** The one process of a quarantine, when it has one. */
class Room {
  readonly #model: Model;
  readonly #cells: Cells;
  readonly #log: Logger;
  readonly #loadMsMax: number;
  /** The process, and what resolves to it once it has the model. */
  #child: ChildProcess | undefined;
  #loaded: Promise<ChildProcess> | undefined;

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
      if (!(thrown instanceof ProcessEnded)) throw this.#noCell(thrown);
      const fields = { model: this.#model.name, items: items.length, err: thrown };
      this.#log.error(fields, 'the quarantine has ended');
      return undefined;
    } finally {
      clearTimeout(hung);
    }
  }

  /** Ends the process. The next job gets another one. */
  empty(): void {
    this.#child?.kill('SIGKILL');
    this.#child = undefined;
    this.#loaded = undefined;
  }

  #load(): Promise<ChildProcess> {
    if (this.#loaded) return this.#loaded;
    const loading = this.#startLoad();
    this.#loaded = loading;
    // The next job tries again.
    loading.catch(() => {
      if (this.#loaded === loading) this.#loaded = undefined;
    });
    return loading;
  }

  async #startLoad(): Promise<ChildProcess> {
    let timer: NodeJS.Timeout | undefined;
    try {
      const child = this.#cells.take();
      this.#child = child;
      child.once('exit', () => {
        if (this.#child === child) this.empty();
      });
      // A process that cannot be sent something has ended, or never began; an error without a
      // listener would end the worker.
      child.on('error', () => {});
      timer = setTimeout(() => child.kill('SIGKILL'), this.#loadMsMax);
      const ready = answerOf(child);
      child.send(this.#model.folder satisfies ToQuarantine);
      await ready;
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
    return new NoCell(
      `No process with the model ${name} could be had within ${this.#loadMsMax} ms: ${reason}`,
      { cause: thrown },
    );
  }
}

/** The process ended while it had something to do. */
class ProcessEnded extends Error {}

/**
 * The next message of a child.
 * @throws ProcessEnded when it ends before that; Error when it cannot be reached
 */
function answerOf(child: ChildProcess): Promise<FromQuarantine> {
  const answer = new Promise<FromQuarantine>((resolve, reject) => {
    const settle = (end: () => void) => {
      child.off('message', onMessage).off('exit', onExit).off('error', onError);
      end();
    };
    const onMessage = (message: unknown) => settle(() => resolve(message as FromQuarantine));
    const onExit = (code: number | null, signal: string | null) =>
      settle(() => reject(new ProcessEnded(`The process ended (${signal ?? code}).`)));
    const onError = (error: Error) => settle(() => reject(error));
    child.on('message', onMessage).on('exit', onExit).on('error', onError);
  });
  // What is thrown before it is awaited is thrown instead of it.
  answer.catch(() => {});
  return answer;
}
