// Guards a worker against the models that it loads. ONNX Runtime runs in the process of the worker, so a network
// that crashes or hangs it takes all other models along.
//
// - While a worker starts, it serves nobody, and a trial of each model would double its start. So it loads them at
//   once. If that ends two workers in turn, the next one knows what they were loading, and tries that.
// - Once it serves, it tries each model that is new to it.
//
// A Python program is in a process of its own anyway.

import type { Model } from '../../shared/registry/models.js';
import { Attempts } from './attempts.js';
import { makeTrial, openLimit } from './trial.js';

export class Guard {
  readonly #attempts: Attempts;
  readonly #abandon: (reason: string) => void;
  readonly #try = makeTrial();
  /** The queues of the models that this worker has loaded. */
  readonly #loaded = new Set<string>();
  #isServing = false;

  /**
   * @param options.cache the folder in which workers keep models, if there is one
   * @param options.abandon kills the process at once
   */
  constructor(options: { cache: string | undefined; abandon: (reason: string) => void }) {
    this.#attempts = new Attempts(options.cache);
    this.#abandon = options.abandon;
  }

  /** Notes that the worker serves models from now on. */
  serve(): void {
    this.#isServing = true;
  }

  /** Notes that the process is told to end, so a load that does not end is no fault of its model. */
  leave(): void {
    this.#attempts.forget();
  }

  /**
   * Loads a model by `open`, after a trial if that may end the process.
   * @param signal ends a trial
   * @throws ScorelineError as a `Trial` does; whatever `open` throws
   */
  async load<T>(model: Model, open: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (model.manifest.engine !== 'onnx') return open();
    const isNew = this.#isServing && !this.#loaded.has(model.queue);
    if (isNew || this.#attempts.isSuspect(model)) await this.#try(model, signal);
    const end = this.#attempts.begin(model);
    const limitMs = openLimit(model);
    const hung = setTimeout(
      () => this.#abandon(`${model.name}: loading takes longer than ${limitMs} ms`),
      limitMs,
    );
    try {
      const opened = await open();
      this.#loaded.add(model.queue);
      return opened;
    } finally {
      clearTimeout(hung);
      end();
    }
  }
}
