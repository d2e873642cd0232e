// The place of one answer. Requests overtake each other while a person types, so only the last one may show its
// answer, and one that is overtaken is ended.
//
// An answer never stands beside an input that it does not answer without a word: while the next one is asked, it is
// busy; if none is asked, as for an emptied field, it is marked until the next is there.

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
  readonly #mark = element('p', { class: 'notice', role: 'status', hidden: true });
  readonly #place = element('div', { class: 'stack' });
  readonly #service: Service;
  readonly #model: ModelInfo;
  #current: AbortController | undefined;
  /** Whether the form still has what was asked last. */
  #isAsked = true;

  constructor(service: Service, model: ModelInfo, signal: AbortSignal) {
    this.#service = service;
    this.#model = model;
    this.node.append(this.#status, this.#mark, this.#place);
    signal.addEventListener('abort', () => this.#current?.abort());
  }

  async ask(asked: Asked, isLater: boolean): Promise<void> {
    this.#current?.abort();
    const current = new AbortController();
    this.#current = current;
    this.#isAsked = true;
    const { signal } = current;
    const sent = sentOf(this.#model, asked, isLater);
    if (isLater) {
      const place = element('div', { class: 'stack' });
      this.#show([place], '');
      return followNewJob(this.#service, this.#model, { asked, sent, signal, place });
    }
    this.#place.setAttribute('aria-busy', 'true');
    try {
      const answered = await ask(this.#service, this.#model, { asked, signal });
      if (signal.aborted) return;
      const { answer } = answered;
      this.#show([showAnswer(this.#model, answer), showCall(sent, answered)], sayAnswer(answer));
    } catch (thrown) {
      if (!signal.aborted) this.#show([showError(thrown)], '');
    }
  }

  /** Tells that the form has something else now, which is not asked. */
  outdate(): void {
    this.#isAsked = false;
    this.#showMark();
  }

  #show(nodes: readonly HTMLElement[], said: string): void {
    this.#place.replaceChildren(...nodes);
    this.#place.removeAttribute('aria-busy');
    this.#status.textContent = said;
    this.#showMark();
  }

  #showMark(): void {
    const isFormer = !this.#isAsked && this.#place.hasChildNodes();
    this.#mark.hidden = !isFormer;
    this.#mark.textContent = isFormer
      ? 'This answers what the form had before it was changed.'
      : '';
    this.#place.classList.toggle('is-former', isFormer);
  }
}
