// The answers to pictures, the newest first, each beside what the network sees of it.

import { sayAnswer, showAnswer } from './answer-view.js';
import { type Asked, ask, sentOf } from './asking.js';
import { showCall } from './call-view.js';
import { drawCrop, sayCrop } from './crop.js';
import { element } from './element.js';
import { showError } from './error-view.js';
import { ms } from './format.js';
import { followNewJob } from './job-view.js';
import type { ModelInfo, Service } from './service.js';

type Picture = Extract<Asked, { kind: 'file' }>;

const shownMax = 24;

export class PictureAnswers {
  readonly node: HTMLElement;
  readonly #cards = element('div', { class: 'pictures' });
  readonly #status = element('p', { class: 'only-read', role: 'status' });
  readonly #service: Service;
  readonly #model: ModelInfo;
  readonly #signal: AbortSignal;

  constructor(service: Service, model: ModelInfo, signal: AbortSignal) {
    this.#service = service;
    this.#model = model;
    this.#signal = signal;
    this.node = element('div', { class: 'answer stack' }, this.#status, this.#cards);
  }

  show(pictures: readonly Picture[], isLater: boolean): void {
    const cards = pictures.map((picture) => this.#show(picture, isLater));
    this.#cards.prepend(...cards);
    for (const old of [...this.#cards.children].slice(shownMax)) old.remove();
  }

  #show(picture: Picture, isLater: boolean): HTMLElement {
    const { input } = this.#model;
    const figure = element('figure', {}, element('div', { class: 'crop is-empty' }));
    const place = element('div', { class: 'stack-small', 'aria-busy': 'true' });
    const body = element(
      'div',
      { class: 'stack-small' },
      element('h2', { class: 'file-name minor' }, picture.name),
      place,
    );
    if (input.kind === 'image') void showCrop(picture, input, figure);
    void this.#ask(picture, isLater, place);
    return element('article', { class: 'picture card', 'aria-label': picture.name }, figure, body);
  }

  async #ask(asked: Picture, isLater: boolean, place: HTMLElement): Promise<void> {
    const signal = this.#signal;
    const sent = sentOf(this.#model, asked, isLater);
    try {
      if (isLater) {
        await followNewJob(this.#service, this.#model, { asked, sent, signal, place });
        return;
      }
      const answered = await ask(this.#service, this.#model, { asked, signal });
      place.replaceChildren(
        showAnswer(this.#model, answered.answer),
        element(
          'details',
          { class: 'more' },
          element('summary', {}, `Time and code: ${ms(answered.note.totalMs)}`),
          showCall(sent, answered),
        ),
      );
      this.#status.textContent = `${asked.name}: ${sayAnswer(answered.answer)}`;
    } catch (thrown) {
      if (!signal.aborted) place.replaceChildren(showError(thrown));
    } finally {
      place.removeAttribute('aria-busy');
    }
  }
}

async function showCrop(
  { file }: Picture,
  input: Parameters<typeof drawCrop>[1],
  figure: HTMLElement,
): Promise<void> {
  const canvas = await drawCrop(file, input).catch(() => undefined);
  if (!canvas) {
    figure.replaceChildren(
      element('div', { class: 'crop is-empty' }, element('span', {}, 'Nothing to show')),
    );
    return;
  }
  canvas.className = 'crop';
  canvas.setAttribute('role', 'img');
  canvas.setAttribute('aria-label', sayCrop(input));
  figure.replaceChildren(
    canvas,
    element('figcaption', { class: 'small muted' }, 'What the network sees'),
  );
}
