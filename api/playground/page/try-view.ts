// One model to try: what it is, how it does, its form, and its answers.

import { element, freshId } from './element.js';
import { makeFileForm } from './file-form.js';
import { ms } from './format.js';
import { healthOf, trafficOf } from './health.js';
import { makeJsonForm } from './json-form.js';
import type { ModelList } from './model-list.js';
import { OneAnswer } from './one-answer.js';
import { PictureAnswers } from './picture-answers.js';
import { makePictureForm } from './picture-form.js';
import type { ModelInfo, Service } from './service.js';
import { makeTableForm } from './table-form.js';
import { makeTensorsForm } from './tensors-form.js';
import { type Asking, makeTextForm } from './text-form.js';

export interface Context {
  readonly service: Service;
  readonly list: ModelList;
  /** Aborts when another view is shown. */
  readonly signal: AbortSignal;
}

export function showTry(context: Context, model: ModelInfo): HTMLElement {
  const mode = makeMode();
  return element(
    'div',
    { class: 'stack' },
    showHead(context, model),
    mode.node,
    makeWorkbench(context, model, mode.isLater),
  );
}

/** The form of the model, and the place of its answers. */
function makeWorkbench(
  { service, signal }: Context,
  model: ModelInfo,
  isLater: () => boolean,
): HTMLElement[] {
  if (model.input.kind === 'image') {
    const answers = new PictureAnswers(service, model, signal);
    const form = makePictureForm(signal, (pictures) => answers.show(pictures, isLater()));
    return [element('div', { class: 'card' }, form), answers.node];
  }
  const answer = new OneAnswer(service, model, signal);
  const changed = () => answer.outdate();
  const askFor: Asking['askFor'] = (asked, isTyped) => {
    // A job for each key that is pressed would be too much.
    if (isTyped && isLater()) changed();
    else void answer.ask(asked, isLater());
  };
  const makeForm = {
    text: makeTextForm,
    table: makeTableForm,
    json: makeJsonForm,
    file: makeFileForm,
    tensors: makeTensorsForm,
  };
  const form = makeForm[model.input.kind](model, { askFor, changed });
  return [element('div', { class: 'card' }, form), answer.node];
}

function showHead({ list, signal }: Context, model: ModelInfo): HTMLElement {
  const state = element('span', { class: 'state' });
  const unanswered = element('span');
  const traffic = element('span', { hidden: true });
  list.listen(signal, ({ models, waiting }) => {
    const now = models.find(({ queue }) => queue === model.queue);
    if (!now) return;
    const health = healthOf(now, waiting);
    state.className = `state is-${health.state}`;
    state.textContent = health.text;
    unanswered.textContent = now.unanswered === null ? '' : `${now.unanswered} unanswered`;
    traffic.textContent = `requests: ${trafficOf(now).what}`;
    traffic.hidden = models.filter(({ name }) => name === model.name).length < 2;
  });
  return element(
    'header',
    { class: 'model-head' },
    element(
      'h1',
      {},
      model.name,
      ' ',
      element('span', { class: 'version' }, `version ${model.version}`),
    ),
    element('p', { class: 'lead' }, model.description),
    element(
      'p',
      { class: 'facts-line small muted' },
      state,
      traffic,
      unanswered,
      element('span', {}, `batches of up to ${model.batchMax}`),
      element('span', {}, `deadline ${ms(model.deadlineMs)}`),
    ),
  );
}

/** Whether to be answered at once or later. */
function makeMode(): { node: HTMLElement; isLater: () => boolean } {
  const name = freshId('mode');
  const choice = (text: string, isFirst: boolean) => {
    const field = element('input', { type: 'radio', name, checked: isFirst });
    return { field, node: element('label', {}, field, element('span', {}, text)) };
  };
  const now = choice('Answer now', true);
  const later = choice('Answer later, as a job', false);
  const node = element(
    'fieldset',
    { class: 'segmented' },
    element('legend', { class: 'only-read' }, 'How to be answered'),
    now.node,
    later.node,
  );
  return { node, isLater: () => later.field.checked };
}
