// Writes descriptions of the service, each in a thread of its own.

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Model } from '../../shared/registry/models.js';
import type { DescribedCatalogue, DescribedService } from './context.js';
import type { DescriptionOrder } from './description-thread.js';

/** How many different descriptions are kept, since callers may know different models. */
const keptMax = 32;

/** Keeps what it has written: callers for whom the same models exist share a description. */
export class DescriptionWriter {
  readonly #service: DescribedService;
  readonly #kept = new Map<string, Promise<string>>();
  /** A model that has been read again has another number: its description or example may have changed. */
  readonly #numbers = new WeakMap<Model, number>();
  #lastNumber = 0;
  /** Ends when no thread is writing. */
  #idle: Promise<unknown> = Promise.resolve();

  constructor({ configuration, imageLimits, rowsMax }: DescribedService) {
    // A thread gets copies, so it gets no more than it needs.
    const { AUTH, HTTPS_ONLY, INPUTS_PER_REQUEST_MAX, WEBHOOK_HOSTS } = configuration;
    this.#service = {
      configuration: { AUTH, HTTPS_ONLY, INPUTS_PER_REQUEST_MAX, WEBHOOK_HOSTS },
      ...{ imageLimits, rowsMax },
    };
  }

  /** Returns the service as an OpenAPI document in JSON, or as a page in HTML. */
  write(form: DescriptionOrder['form'], { models, latest, splits }: DescribedCatalogue) {
    const numbersOf = (of: typeof models) => of.map((model) => this.#numberOf(model));
    const key = JSON.stringify([form, numbersOf(models), numbersOf(latest), [...splits.keys()]]);
    const known = this.#kept.get(key);
    if (known) return known;
    const catalogue = { models, latest, splits };
    const written = this.#idle.then(() => write({ form, service: this.#service, catalogue }));
    this.#idle = written.catch(() => this.#kept.delete(key));
    const [oldest] = this.#kept.keys();
    if (this.#kept.size >= keptMax && oldest !== undefined) this.#kept.delete(oldest);
    this.#kept.set(key, written);
    return written;
  }

  #numberOf(model: Model): number {
    const number = this.#numbers.get(model) ?? ++this.#lastNumber;
    this.#numbers.set(model, number);
    return number;
  }
}

async function write(order: DescriptionOrder): Promise<string> {
  const thread = new Worker(new URL('./description-thread.js', import.meta.url), {
    workerData: order,
  });
  // The end of the process does not wait for it.
  thread.unref();
  const [written] = await once(thread, 'message');
  return written;
}
