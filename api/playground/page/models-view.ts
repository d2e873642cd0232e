// The models of the service, and how each does.

import { type Child, element, note } from './element.js';
import { showCode } from './error-code.js';
import { showError } from './error-view.js';
import { ms } from './format.js';
import {
  faultOf,
  type Health,
  healthOf,
  healthOfWaiting,
  trafficOf,
  type Waiting,
} from './health.js';
import { kindOf, type Listed } from './model-list.js';
import type { ModelInfo } from './service.js';
import type { Context } from './try-view.js';

export function showModels({ list, signal }: Context): HTMLElement {
  const place = element('div', { class: 'stack' });
  let shown = '';
  list.listen(signal, (listed) => {
    // What did not change keeps its focus.
    const { models, waiting, leftOut, error } = listed;
    const now = JSON.stringify([models, waiting, leftOut, String(error)]);
    if (now === shown) return;
    shown = now;
    place.replaceChildren(...showList(listed));
  });
  return element('div', { class: 'stack' }, element('h1', {}, 'Models'), place);
}

function showList({ models, waiting, leftOut, error }: Listed): HTMLElement[] {
  const nodes: HTMLElement[] = [];
  if (error !== undefined) nodes.push(showError(error));
  nodes.push(
    element(
      'div',
      { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Models' },
      showTable(models, waiting),
    ),
  );
  nodes.push(
    note(
      'Requests: the share of those that name a model and no version. Others get the version that they name. ',
      element('a', { href: 'docs/versions' }, 'How versions share requests'),
    ),
  );
  for (const { name, version, code, reason } of leftOut) {
    nodes.push(
      element(
        'p',
        { class: 'notice' },
        element('strong', {}, name),
        version !== undefined && ` version ${version}`,
        ' is left out: ',
        reason !== undefined && `${reason.replace(/\.$/, '')} (`,
        showCode(code),
        reason === undefined ? '. The log of the service says why.' : '). The log says more.',
      ),
    );
  }
  return nodes;
}

const columns = [
  'Model',
  'State',
  'Requests',
  'Unanswered',
  'Batches',
  'Deadline',
  'Dropped',
  'Crashed',
] as const;

// On a phone, each row is a block, and its cells name their columns. The roles say that it is a table still.
function showTable(models: readonly ModelInfo[], waiting: readonly Waiting[]): HTMLElement {
  const heads = columns.map((name) => element('th', { scope: 'col', role: 'columnheader' }, name));
  return element(
    'table',
    { class: 'models', role: 'table' },
    element('thead', { role: 'rowgroup' }, element('tr', { role: 'row' }, heads)),
    element('tbody', { role: 'rowgroup' }, showRows(models, waiting)),
  );
}

/** The versions of a model that get no requests come behind those that are served. */
function showRows(models: readonly ModelInfo[], waiting: readonly Waiting[]): HTMLElement[] {
  const told = new Set(models.map((model) => faultOf(model, waiting)));
  const others = waiting.filter((each) => !told.has(each));
  const names = new Set([...models, ...others].map(({ name }) => name));
  return [...names].flatMap((name) => [
    ...models.filter((model) => model.name === name).map((model) => showRow(model, waiting)),
    ...others.filter((each) => each.name === name).map(showWaiting),
  ]);
}

function showRow(model: ModelInfo, waiting: readonly Waiting[]): HTMLElement {
  const { what, more } = trafficOf(model);
  const name = [
    element('a', { href: addressOf(model) }, model.name),
    ' ',
    element('span', { class: 'version' }, `version ${model.version}`),
    element('span', { class: 'about muted small' }, kindOf(model)),
  ];
  const about = more !== undefined && element('span', { class: 'about muted small' }, more);
  return element(
    'tr',
    { role: 'row' },
    element('th', { scope: 'row', role: 'rowheader' }, name),
    showCell('State', showState(healthOf(model, waiting)), showReason(faultOf(model, waiting))),
    showCell('Requests', what, about),
    showCell('Unanswered', model.unanswered ?? 'unknown'),
    showCell('Batches', `up to ${model.batchMax}`),
    showCell('Deadline', ms(model.deadlineMs)),
    showCell('Dropped', model.dropped),
    showCell('Crashed', model.crashed),
  );
}

function showWaiting(waiting: Waiting): HTMLElement {
  const { name, version } = waiting;
  const reason = showReason(waiting);
  const rest = { role: 'cell', colspan: columns.length - 3 };
  return element(
    'tr',
    { role: 'row' },
    element(
      'th',
      { scope: 'row', role: 'rowheader' },
      element('span', { class: 'name' }, name),
      ' ',
      element('span', { class: 'version' }, `version ${version}`),
    ),
    showCell('State', showState(healthOfWaiting(waiting))),
    showCell('Requests', 'none'),
    element('td', rest, reason),
  );
}

function showCell(column: (typeof columns)[number], ...children: readonly Child[]): HTMLElement {
  return element('td', { role: 'cell', 'data-column': column }, element('div', {}, children));
}

function showState({ state, text }: Health): HTMLElement {
  return element('span', { class: `state is-${state}` }, text);
}

function showReason({ code, reason }: Partial<Waiting> = {}): HTMLElement | undefined {
  if (code === undefined) return undefined;
  const text = reason !== undefined && `${reason}: `;
  return element('span', { class: 'about reason muted small' }, text, showCode(code));
}

/** The address of a model on this page. */
export function addressOf({ name, version }: ModelInfo): string {
  return `#/try/${encodeURIComponent(name)}/${encodeURIComponent(version)}`;
}
