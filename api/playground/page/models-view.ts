// The models of the service, and how each does.

import { element } from './element.js';
import { showError } from './error-view.js';
import { ms } from './format.js';
import { healthOf, kindOf, type Listed } from './model-list.js';
import type { ModelInfo } from './service.js';
import type { Context } from './try-view.js';

export function showModels({ list, signal }: Context): HTMLElement {
  const place = element('div', { class: 'stack' });
  let shown = '';
  list.listen(signal, (listed) => {
    // What did not change keeps its focus.
    const now = JSON.stringify([listed.models, listed.leftOut, String(listed.error)]);
    if (now === shown) return;
    shown = now;
    place.replaceChildren(...showList(listed));
  });
  return element('div', { class: 'stack' }, element('h1', {}, 'Models'), place);
}

function showList({ models, leftOut, error }: Listed): HTMLElement[] {
  const nodes: HTMLElement[] = [];
  if (error !== undefined) nodes.push(showError(error));
  nodes.push(
    element(
      'div',
      { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Models' },
      showTable(models),
    ),
  );
  for (const { name, code } of leftOut) {
    nodes.push(
      element(
        'p',
        { class: 'notice' },
        element('strong', {}, name),
        ' is left out: ',
        element('code', {}, code),
        '. The log of the service says why.',
      ),
    );
  }
  return nodes;
}

const columns = ['Model', 'State', 'Unanswered', 'Batches', 'Deadline', 'Dropped', 'Crashed'];

function showTable(models: readonly ModelInfo[]): HTMLElement {
  return element(
    'table',
    { class: 'models' },
    element(
      'thead',
      {},
      element(
        'tr',
        {},
        columns.map((name) => element('th', { scope: 'col' }, name)),
      ),
    ),
    element('tbody', {}, models.map(showRow)),
  );
}

function showRow(model: ModelInfo): HTMLElement {
  const health = healthOf(model);
  return element(
    'tr',
    {},
    element(
      'th',
      { scope: 'row' },
      element('a', { href: addressOf(model) }, model.name),
      ' ',
      element('span', { class: 'version' }, `version ${model.version}`),
      element('span', { class: 'about muted small' }, kindOf(model)),
    ),
    element('td', {}, element('span', { class: `state is-${health.state}` }, health.text)),
    element('td', { class: 'count' }, model.unanswered ?? 'unknown'),
    element('td', { class: 'count' }, `up to ${model.batchMax}`),
    element('td', { class: 'count' }, ms(model.deadlineMs)),
    element('td', { class: 'count' }, model.dropped),
    element('td', { class: 'count' }, model.crashed),
  );
}

/** The address of a model on this page. */
export function addressOf({ name, version }: ModelInfo): string {
  return `#/try/${encodeURIComponent(name)}/${encodeURIComponent(version)}`;
}
