// The last minutes of a model, second by second, with buttons that make something happen.

import { makeBurst } from './burst-view.js';
import { type Chart, type Line, makeChart } from './chart.js';
import { element, freshId, note } from './element.js';
import { showError } from './error-view.js';
import { ms, rounded } from './format.js';
import { type Column, type Live, type LiveModel, shownMs, watchLive } from './live.js';
import type { ModelInfo } from './service.js';
import type { Context } from './try-view.js';
import { makeWorkers } from './workers-view.js';

interface Shown {
  readonly chart: Chart;
  readonly linesOf: (live: LiveModel) => readonly Line[];
}

const entriesMax = shownMs / 1000;

export function showLive({ service, list, signal }: Context): HTMLElement {
  const id = freshId('model');
  const choice = element('select', { id });
  const trouble = element('div', { class: 'trouble' });
  const charts = makeCharts();
  const workers = makeWorkers(service);
  let models: readonly ModelInfo[] = [];
  let last: Live | undefined;
  const chosen = () => models.find(({ queue }) => queue === choice.value);
  const draw = () => {
    const model = chosen();
    const live = last?.models.find(
      (each) => each.model === model?.name && each.version === model.version,
    );
    // The figures of the model that was chosen before must go.
    for (const { chart, linesOf } of charts) chart.show(linesOf(live ?? unknown), entriesMax);
  };
  choice.addEventListener('change', draw);
  list.listen(signal, (listed) => {
    const isSame = queuesOf(listed.models) === queuesOf(models);
    models = listed.models;
    if (!isSame) fillChoice(choice, models);
  });
  watchLive(service, signal, {
    onLive: (live) => {
      last = live;
      trouble.replaceChildren();
      workers.show(live.localWorkers);
      draw();
    },
    onError: (thrown) => trouble.replaceChildren(showError(thrown)),
  });
  return element(
    'div',
    { class: 'stack' },
    element(
      'div',
      { class: 'row spread' },
      element('h1', {}, 'Live'),
      element('div', { class: 'row' }, element('label', { for: id }, 'Model'), choice),
    ),
    trouble,
    element(
      'div',
      { class: 'charts' },
      charts.map(({ chart }) => chart.node),
    ),
    element('div', { class: 'doings' }, makeBurst(service, signal, chosen), workers.node),
    note('The last three minutes of the API instance that answers, second by second.'),
  );
}

/** A model of which the service has no figures. */
const unknown: LiveModel = {
  ...{ model: '', version: '', refusals: {}, latencyMs: { p50: [], p90: [], p99: [] } },
  ...{ inputs: [], requests: [], failures: [], batchSize: [], unanswered: [], workers: [] },
};

function queuesOf(models: readonly ModelInfo[]): string {
  return models.map(({ queue }) => queue).join();
}

/** What was chosen stays. Pictures take long enough to be watched, so a model of them comes first. */
function fillChoice(choice: HTMLSelectElement, models: readonly ModelInfo[]): void {
  const first =
    models.find(({ queue }) => queue === choice.value) ??
    models.find(({ input }) => input.kind === 'image') ??
    models[0];
  choice.replaceChildren(
    ...models.map((model) =>
      element(
        'option',
        { value: model.queue, selected: model === first },
        `${model.name}, version ${model.version}`,
      ),
    ),
  );
}

function makeCharts(): readonly Shown[] {
  const whole = (value: number) => rounded(value);
  const decimal = (value: number) => rounded(value, 1);
  return [
    {
      chart: makeChart({ title: 'Throughput', unit: 'inputs a second', write: whole }),
      linesOf: ({ inputs, requests, failures }) => [
        { name: 'inputs', column: inputs },
        { name: 'requests', column: requests, look: 'middle' },
        { name: 'failed', column: failures, look: 'danger' },
      ],
    },
    {
      chart: makeChart({ title: 'Latency', unit: 'median', write: ms }),
      linesOf: ({ latencyMs: { p50, p90, p99 } }) => [
        { name: 'median', column: p50 },
        { name: '90 %', column: p90, look: 'middle' },
        { name: '99 %', column: p99, look: 'faint' },
      ],
    },
    {
      chart: makeChart({ title: 'Unanswered', unit: 'inputs', write: whole }),
      linesOf: ({ unanswered }) => [{ name: 'inputs', column: unanswered }],
    },
    {
      chart: makeChart({ title: 'Batch size', unit: 'inputs a run', write: decimal }),
      linesOf: ({ batchSize }) => [{ name: 'inputs a run', column: batchSize }],
    },
    {
      chart: makeChart({ title: 'Workers', unit: 'live', write: whole }),
      linesOf: ({ workers }) => [{ name: 'live', column: workers }],
    },
    {
      chart: makeChart({ title: 'Refusals', unit: 'a second', write: whole }),
      linesOf: ({ refusals, requests }) => [
        { name: 'refusals', column: sum(Object.values(refusals), requests.length), look: 'danger' },
        ...Object.entries(refusals).map(
          ([reason, column]) =>
            ({ name: reason.replaceAll('_', ' '), column, look: 'faint' }) as const,
        ),
      ],
    },
  ];
}

function sum(columns: readonly Column[], length: number): Column {
  return Array.from({ length }, (_, at) =>
    columns.reduce((total, column) => total + (column[at] ?? 0), 0),
  );
}
