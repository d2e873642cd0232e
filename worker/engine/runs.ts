// The unfinished runs of a thread or a process, its runner, which works on the first of them.

import { ScorelineError } from '../../shared/errors.js';
import { EngineEnded, type ReasonReader, RunFailure, type RunResult } from './engine.js';

const hungGraceMs = 1000;

/** The owner of runs: one of the engines that share the runner. */
interface Owner {
  /** A run that takes longer, in milliseconds, counts as hung. */
  readonly runMsMax: number;
}

const anyTime: Owner = { runMsMax: Number.POSITIVE_INFINITY };

interface Run {
  readonly owner: Owner;
  resolve(result: RunResult): void;
  reject(error: Error): void;
}

/** The runner, as its runs need it. */
export interface Port {
  /** The name of the runtime in messages. */
  readonly runtime: string;
  /** Called when the runner has ended by itself or hangs, before any run is rejected. */
  onLost(reason: string, cause?: ScorelineError): void;
  /** Ends the runner inside of a run. Without this, `onLost` has to end the whole process. */
  kill?(): void;
}

export class Runs {
  readonly #port: Port;
  readonly #underWay = new Map<number, Run>();
  #nextId = 0;
  #ended: EngineEnded | undefined;
  #watchdog: NodeJS.Timeout | undefined;
  readonly #waiting: { readonly owner: Owner; readonly resolve: () => void }[] = [];

  constructor(port: Port) {
    this.#port = port;
  }

  /** @param send hands over the batch. Its outcome comes back by `finish` or `fail` with the same id. */
  start(owner: Owner, send: (id: number) => void): Promise<RunResult> {
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(this.#ended);
      const id = this.#nextId++;
      this.#underWay.set(id, { owner, resolve, reject });
      if (this.#underWay.size === 1) this.#watchFirst();
      send(id);
    });
  }

  /**
   * Puts something else in the line of runs, such as the load of a model. It may take any time, which counts for no run
   * behind it. Returns a function that is called at its end.
   */
  queue(): () => void {
    const id = this.#nextId++;
    this.#underWay.set(id, { owner: anyTime, resolve: () => {}, reject: () => {} });
    return () => void this.#take(id);
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

  /**
   * Called when the runner has ended by itself.
   * @param cause the error of a load that fails by it, if the model is not to blame
   */
  lose(reason: string, cause?: ScorelineError): void {
    if (this.#ended) return;
    clearTimeout(this.#watchdog);
    this.#ended = new EngineEnded(reason, { cause });
    this.#port.onLost(reason, cause);
    for (const run of this.#underWay.values()) run.reject(this.#ended);
    this.#underWay.clear();
    this.#wake();
  }

  /** Waits for all runs of an owner, because ending one halfway may abort the process. */
  async finished(owner: Owner): Promise<void> {
    if (this.#hasRuns(owner)) {
      await new Promise<void>((resolve) => this.#waiting.push({ owner, resolve }));
    }
  }

  /** Called when the runner is ended, with no run left. Later runs are rejected. */
  end(): void {
    this.#ended ??= new EngineEnded('The engine was closed.');
  }

  #hasRuns(owner: Owner): boolean {
    return [...this.#underWay.values()].some((run) => run.owner === owner);
  }

  #take(id: number): Run | undefined {
    const run = this.#underWay.get(id);
    this.#underWay.delete(id);
    this.#watchFirst();
    if (this.#waiting.length > 0) this.#wake();
    return run;
  }

  #wake(): void {
    for (const each of this.#waiting.splice(0)) {
      if (this.#hasRuns(each.owner)) this.#waiting.push(each);
      else each.resolve();
    }
  }

  #watchFirst(): void {
    clearTimeout(this.#watchdog);
    const [first] = this.#underWay.values();
    if (!first || first.owner === anyTime || this.#ended) return;
    const { runMsMax } = first.owner;
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
      this.#port.onLost(reason);
    }
  }
}
