// The runs that an engine has been handed and has not finished. It works on the first of them.

import { ScorelineError } from '../../shared/errors.js';
import type { Tensor } from '../../shared/tensors/tensors.js';
import {
  EngineEnded,
  type ReasonReader,
  RunFailure,
  type RunResult,
  type Watch,
} from './engine.js';

const hungGraceMs = 1000;

interface Run {
  resolve(result: RunResult): void;
  reject(error: Error): void;
}

/** How runs reach their engine. */
export interface Port {
  /** What the engine is called in messages. */
  readonly runtime: string;
  /** Hands over a batch. Its outcome comes back by `finish` or `fail` with the same `id`. */
  send(id: number, batch: readonly Tensor[], outputNames?: readonly string[]): void;
  /** Ends the engine, which has no run left. */
  end(): Promise<void>;
  /** Ends the engine inside of a run. An engine that cannot be ended so takes its process along. */
  kill?(): void;
}

export class Runs {
  readonly #watch: Watch;
  readonly #port: Port;
  readonly #underWay = new Map<number, Run>();
  #nextId = 0;
  #ended: EngineEnded | undefined;
  #watchdog: NodeJS.Timeout | undefined;
  /** Called when no run is left. */
  readonly #onEmpty: (() => void)[] = [];

  constructor(watch: Watch, port: Port) {
    this.#watch = watch;
    this.#port = port;
  }

  start(batch: readonly Tensor[], outputNames?: readonly string[]): Promise<RunResult> {
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(this.#ended);
      const id = this.#nextId++;
      this.#underWay.set(id, { resolve, reject });
      if (this.#underWay.size === 1) this.#watchFirst();
      this.#port.send(id, batch, outputNames);
    });
  }

  finish(id: number, result: RunResult): void {
    this.#take(id)?.resolve(result);
  }

  fail(
    id: number,
    { reason, reader = 'caller of tensors' }: { reason: string; reader?: ReasonReader },
  ): void {
    const cause = new RunFailure(reason.trim(), { runtime: this.#port.runtime, reader });
    // The reason is for the log. Clients get the message alone.
    const error = new ScorelineError('model_failed', 'The model failed on this input.', { cause });
    this.#take(id)?.reject(error);
  }

  /** Called when the engine has ended. */
  lose(reason: string): void {
    if (this.#ended) return;
    clearTimeout(this.#watchdog);
    this.#ended = new EngineEnded(reason);
    this.#watch.onLost(reason);
    for (const run of this.#underWay.values()) run.reject(this.#ended);
    this.#underWay.clear();
    this.#wake();
  }

  /** Waits for all runs, because ending an engine inside a run may abort the process. */
  async close(): Promise<void> {
    if (this.#underWay.size > 0) {
      await new Promise<void>((resolve) => this.#onEmpty.push(resolve));
    }
    this.#ended ??= new EngineEnded('The engine was closed.');
    await this.#port.end();
  }

  #take(id: number): Run | undefined {
    const run = this.#underWay.get(id);
    this.#underWay.delete(id);
    this.#watchFirst();
    if (this.#underWay.size === 0) this.#wake();
    return run;
  }

  #wake(): void {
    for (const resolve of this.#onEmpty.splice(0)) resolve();
  }

  #watchFirst(): void {
    clearTimeout(this.#watchdog);
    if (this.#underWay.size === 0 || this.#ended) return;
    const { runMsMax } = this.#watch;
    this.#watchdog = setTimeout(() => {
      // A frozen process wakes up to an overdue timer while its run may be nearly done. Allow it 1 s.
      this.#watchdog = setTimeout(
        () => this.#giveUp(`a run takes longer than runMsMax, ${runMsMax} ms`),
        hungGraceMs,
      );
    }, runMsMax);
  }

  #giveUp(reason: string): void {
    if (this.#port.kill) {
      this.#port.kill();
      this.lose(reason);
    } else {
      this.#watch.onLost(reason);
    }
  }
}
