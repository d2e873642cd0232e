// What a model answered.

import type {
  ClassPrediction,
  Inference,
  OutputTensor,
  Prediction,
  Score,
} from '../../../client/client.js';
import { makeBar, nameOf, showClasses } from './bars.js';
import { element } from './element.js';
import { number, percent } from './format.js';
import { showRichText } from './rich-text.js';
import type { ModelInfo } from './service.js';

export type Answer = Score | Inference;

export function showAnswer({ output }: ModelInfo, answer: Answer): HTMLElement {
  if (isInference(answer)) return showTensors(Object.values(answer.outputs));
  const main =
    output.kind === 'ranking'
      ? showRanking(answer, answer.predictions.filter(isClass))
      : showPredictions(answer.predictions);
  if (!answer.outputs) return main;
  const further = Object.entries(answer.outputs).flatMap(([name, predictions]) => [
    element('h2', { class: 'minor' }, name),
    showPredictions(predictions as readonly Prediction[]),
  ]);
  return element('div', { class: 'stack' }, main, ...further);
}

/** Shows what one output of a network says: classes, numbers or tensors. */
function showPredictions(predictions: readonly Prediction[]): HTMLElement {
  const classes = predictions.filter(isClass);
  if (classes.length > 0) return showClasses(classes);
  const tensors = predictions.filter(isTensor);
  if (tensors.length > 0) return showTensors(tensors);
  return showNumber(predictions);
}

function isInference(answer: Answer): answer is Inference {
  return !('predictions' in answer);
}

/** Says an answer in one line, for screen readers. */
export function sayAnswer(answer: Answer): string {
  if (isInference(answer)) return `Answered with ${Object.keys(answer.outputs).join(', ')}.`;
  if (answer.known === false) return 'None of these fits.';
  const [best] = answer.predictions;
  if (!best) return 'Answered with nothing.';
  if (isTensor(best)) return `Answered with ${best.name}.`;
  if (!isClass(best)) return `Answered ${number(best.value)}.`;
  return `Best of ${answer.predictions.length}: ${nameOf(best)}, ${percent(best.score)}.`;
}

function isClass(prediction: Prediction): prediction is ClassPrediction {
  return 'label' in prediction;
}

function isTensor(prediction: Prediction): prediction is Extract<Prediction, { datatype: string }> {
  return 'datatype' in prediction;
}

function showRanking({ known }: Score, classes: readonly ClassPrediction[]): HTMLElement {
  const isUnknown = known === false;
  const list = element(
    'ol',
    { class: isUnknown ? 'ranking is-faint' : 'ranking' },
    classes.map((prediction, at) => showRanked(prediction, at === 0 && !isUnknown)),
  );
  return element('div', { class: 'stack' }, isUnknown && noneFits(), list);
}

function noneFits(): HTMLElement {
  return element(
    'div',
    { class: 'notice' },
    element('h2', { class: 'minor' }, 'None of these fits'),
    element(
      'p',
      {},
      'The model knows nothing of this text, so the questions below are no answer. Ask in other words, or about something that this FAQ is about.',
    ),
  );
}

function showRanked(prediction: ClassPrediction, isOpen: boolean): HTMLElement {
  const { score, answer } = prediction;
  const head = [
    element('span', { class: 'question' }, nameOf(prediction)),
    element('span', { class: 'score' }, percent(score)),
    makeBar(score),
  ];
  if (typeof answer !== 'string') return element('li', { class: 'ranked' }, head);
  return element(
    'li',
    {},
    element(
      'details',
      { class: 'ranked', open: isOpen },
      element('summary', {}, head),
      showRichText(answer),
    ),
  );
}

function showNumber(predictions: readonly Prediction[]): HTMLElement {
  const values = predictions.flatMap((prediction) =>
    isClass(prediction) || isTensor(prediction) ? [] : prediction.value,
  );
  return element('p', { class: 'figure' }, values.map((value) => number(value)).join(', '));
}

const shownMax = 200;

type ShownTensor = Pick<OutputTensor, 'name' | 'shape'> & {
  readonly datatype: string;
  readonly data: unknown;
};

function showTensors(tensors: readonly ShownTensor[]): HTMLElement {
  return element('div', { class: 'stack' }, tensors.map(showTensor));
}

function showTensor({ name, datatype, shape, data }: ShownTensor): HTMLElement {
  const all = Array.from(data as ArrayLike<unknown>);
  const values = all.slice(0, shownMax).map((value) => {
    if (typeof value === 'string') return JSON.stringify(value);
    return typeof value === 'number' ? number(value) : String(value);
  });
  const rest = all.length - values.length;
  return element(
    'section',
    { class: 'tensor' },
    element(
      'h2',
      { class: 'minor' },
      name,
      ' ',
      element('code', { class: 'muted' }, `${datatype} [${shape.join(', ')}]`),
    ),
    element(
      'pre',
      { tabindex: 0, 'aria-label': `Elements of ${name}` },
      element('code', {}, values.join(', ')),
    ),
    rest > 0 && element('p', { class: 'small muted' }, `and ${rest.toLocaleString('en')} more`),
  );
}
