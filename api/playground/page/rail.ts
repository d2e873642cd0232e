// The list of models beside the view: each leads to its form, and says how the model does.

import { element } from './element.js';
import { healthOf } from './health.js';
import { kindOf, type Listed } from './model-list.js';
import { addressOf } from './models-view.js';
import type { ModelInfo } from './service.js';

export class Rail {
  readonly node = element('nav', { class: 'rail', 'aria-label': 'Models to try' });

  /** The links stay while only the health changes, so they keep the focus. */
  update({ models, waiting }: Listed): void {
    const known = this.#links().map((link) => link.getAttribute('href'));
    if (known.join() !== models.map(addressOf).join()) this.node.replaceChildren(makeList(models));
    for (const [at, item] of [...this.node.querySelectorAll('.state')].entries()) {
      const model = models[at];
      if (!model) continue;
      const { state, text } = healthOf(model, waiting);
      item.className = `state is-${state}`;
      item.textContent =
        (model.unanswered ?? 0) > 0 ? `${text}, ${model.unanswered} waiting` : text;
    }
  }

  /** Marks the model that is shown. On a phone the list is one line, in which it should be in sight. */
  mark(model: ModelInfo | undefined): void {
    for (const link of this.#links()) {
      const isShown = model !== undefined && link.getAttribute('href') === addressOf(model);
      if (isShown) link.setAttribute('aria-current', 'page');
      else link.removeAttribute('aria-current');
      if (isShown) this.node.scrollLeft = link.offsetLeft - 16;
    }
  }

  #links(): HTMLAnchorElement[] {
    return [...this.node.querySelectorAll('a')];
  }
}

function makeList(models: readonly ModelInfo[]): HTMLElement {
  const isSeveral = (name: string) => models.filter((model) => model.name === name).length > 1;
  return element(
    'ul',
    {},
    models.map((model) =>
      element(
        'li',
        {},
        element(
          'a',
          { href: addressOf(model) },
          element(
            'span',
            { class: 'name' },
            model.name,
            isSeveral(model.name) && ` ${model.version}`,
          ),
          element('span', { class: 'small muted' }, kindOf(model)),
          element('span', { class: 'state' }),
        ),
      ),
    ),
  );
}
