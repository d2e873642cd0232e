// The place of one answer. Requests overtake each other while a person types, so only the last one may show its
// answer, and one that is overtaken is ended.

import { sayAnswer, showAnswer } from './answer-view.js';
import { type Asked, ask, sentOf } from './asking.js';
import { showCall } from './call-view.js';
import { element } from './element.js';
import { showError } from './error-view.js';
import { followNewJob } from './job-view.js';
import type { ModelInfo, Service } from './service.js';

export class OneAnswer {
  readonly node = element('div', { class: 'answer stack' });
  readonly #status = element('p', { class: 'only-read', role: 'status' });
  readonly #place = element('div', { class: 'stack' });
  readonly #service: Service;
  readonly #model: ModelInfo;
  #current: AbortController | undefined;

  constructor(service: Service, model: ModelInfo, signal: AbortSignal) {
    this.#service = service;
    this.#model = model;
    this.node.append(this.#status, this.#place);
    signal.addEventListener('abort', () => this.#current?.abort());
  }

  async ask(asked: Asked, isLater: boolean): Promise<void> {
    this.#current?.abort();
    const current = new AbortController();
    this.#current = current;
    const { signal } = current;
    const sent = sentOf(this.#model, asked, isLater);
    if (isLater) {
      const place = element('div', { class: 'stack' });
      this.#place.replaceChildren(place);
      return followNewJob(this.#service, this.#model, { asked, sent, signal, place });
    }
    this.#place.setAttribute('aria-busy', 'true');
    try {
      const answered = await ask(this.#service, this.#model, { asked, signal });
      if (signal.aborted) return;
      this.#place.replaceChildren(
        showAnswer(this.#model, answered.answer),
        showCall(sent, answered),
      );
      this.#status.textContent = sayAnswer(answered.answer);
    } catch (thrown) {
      if (signal.aborted) return;
      this.#place.replaceChildren(showError(thrown));
      this.#status.textContent = '';
    }
    this.#place.removeAttribute('aria-busy');
  }
}
