// The models of the service, asked for again and again while somebody looks.

import { type Models, ScorelineError } from '../../../client/client.js';
import type { ModelInfo, Service } from './service.js';

export interface Listed {
  readonly models: readonly ModelInfo[];
  readonly waiting: Models['waiting'];
  readonly leftOut: Models['leftOut'];
  /** Why the list could not be read the last time. */
  readonly error?: unknown;
}

const pauseMs = 2000;
const pauseMsAfterError = 5000;

export class ModelList {
  readonly #service: Service;
  readonly #listeners = new Set<(listed: Listed) => void>();
  #listed: Listed | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #round = 0;

  constructor(service: Service) {
    this.#service = service;
    document.addEventListener('visibilitychange', () => this.#resume());
  }

  get listed(): Listed | undefined {
    return this.#listed;
  }

  /** Tells the listener of each list, the present one first, until the signal aborts. */
  listen(signal: AbortSignal, listener: (listed: Listed) => void): void {
    this.#listeners.add(listener);
    signal.addEventListener('abort', () => this.#listeners.delete(listener));
    if (this.#listed) listener(this.#listed);
  }

  /** Asks now, as after a change of the key. */
  async refresh(): Promise<void> {
    clearTimeout(this.#timer);
    this.#round += 1;
    const round = this.#round;
    let pause = pauseMs;
    let listed: Listed;
    try {
      listed = await this.#service.client.models({ retries: 0, timeoutMs: 10_000 });
    } catch (error) {
      pause = pauseMsAfterError;
      const isRefusal = error instanceof ScorelineError && error.status === 401;
      const known = isRefusal ? undefined : this.#listed;
      const { models = [], waiting = [], leftOut = [] } = known ?? {};
      listed = { models, waiting, leftOut, error };
    }
    if (round !== this.#round) return;
    this.#listed = listed;
    for (const listener of this.#listeners) listener(listed);
    this.#timer = setTimeout(() => this.#resume(), pause);
  }

  #resume(): void {
    if (document.visibilityState === 'visible') void this.refresh();
  }
}

export function countOf(count: number, noun: string): string {
  return `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`;
}

/** What a model does, in a word or two. */
export function kindOf({ input, output }: ModelInfo): string {
  if (input.kind === 'tensors') return 'Tensors';
  const noun = { text: 'Text', image: 'Pictures', table: 'Table', json: 'JSON', file: 'Files' }[
    input.kind
  ];
  const verb = {
    ranking: 'FAQ',
    classification: 'classes',
    regression: 'a number',
    tensors: 'tensors',
    embedding: 'an embedding',
    json: 'JSON',
  };
  return input.kind === 'text' && output.kind === 'ranking'
    ? 'FAQ'
    : `${noun} → ${verb[output.kind]}`;
}
