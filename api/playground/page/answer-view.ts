// What a model answered.

import type {
  ClassPrediction,
  EmbeddingPrediction,
  Inference,
  JsonPrediction,
  NumberPrediction,
  OutputTensor,
  Prediction,
  Score,
} from '../../../client/client.js';
import { nameOf, scoreShower, showClasses } from './bars.js';
import { element, note } from './element.js';
import { exact, scoreWriter } from './format.js';
import { showRichText } from './rich-text.js';
import type { ModelInfo } from './service.js';

export type Answer = Score | Inference;
type TensorPrediction = Extract<Prediction, { readonly datatype: string }>;

export function showAnswer({ output, outputs = {} }: ModelInfo, answer: Answer): HTMLElement {
  if (!('predictions' in answer)) return showTensors(Object.values(answer.outputs));
  const first = showPredictions(output.kind, answer.predictions, answer.known);
  const others = Object.entries(answer.outputs ?? {});
  if (others.length === 0) return first;
  return element(
    'div',
    { class: 'stack' },
    first,
    others.map(([name, predictions]) =>
      element(
        'section',
        { class: 'stack-small' },
        element('h2', { class: 'minor' }, name),
        showPredictions(outputs[name]?.kind, predictions as readonly Prediction[]),
      ),
    ),
  );
}

function showPredictions(
  kind: ModelInfo['output']['kind'] | undefined,
  predictions: readonly Prediction[],
  known?: boolean,
): HTMLElement {
  const classes = predictions.filter(isClass);
  if (classes.length > 0) {
    return kind === 'ranking' ? showRanking(known, classes) : showClasses(classes);
  }
  const tensors = predictions.filter(isTensor);
  if (tensors.length > 0) return showTensors(tensors);
  const embeddings = predictions.filter(isEmbedding);
  if (embeddings.length > 0) return showTensors(embeddings.map(asTensor));
  const values = predictions.filter(isJson);
  if (values.length > 0) return element('div', { class: 'stack' }, values.map(showJson));
  const numbers = predictions.filter(isNumber);
  if (numbers.length > 0) return showNumbers(numbers);
  return element('p', { class: 'notice' }, 'No class has a score that is high enough.');
}

/** Says an answer in one line, for screen readers. */
export function sayAnswer(answer: Answer): string {
  if (!('predictions' in answer)) return `Answered with ${Object.keys(answer.outputs).join(', ')}.`;
  if (answer.known === false) return 'None of these fits.';
  const [best] = answer.predictions;
  if (!best) return 'No class has a score that is high enough.';
  if (isNumber(best)) return `Answered ${exact(best.value)}.`;
  if (isJson(best)) return 'Answered with JSON.';
  if (isEmbedding(best)) return `Answered with an embedding of ${best.embedding.length} numbers.`;
  if (!isClass(best)) return 'Answered with tensors.';
  const write = scoreWriter(answer.predictions.filter(isClass).map(({ score }) => score));
  return `Best of ${answer.predictions.length}: ${nameOf(best)}, ${write(best.score)}.`;
}

function isTensor(prediction: Prediction): prediction is TensorPrediction {
  return 'datatype' in prediction;
}

function isEmbedding(prediction: Prediction): prediction is EmbeddingPrediction {
  return 'embedding' in prediction && !isClass(prediction);
}

function asTensor({ embedding }: EmbeddingPrediction): TensorPrediction {
  return { name: 'embedding', datatype: 'FP32', shape: [embedding.length], data: embedding };
}

function isNumber(prediction: Prediction): prediction is NumberPrediction {
  return 'value' in prediction && !isClass(prediction);
}

function isJson(prediction: Prediction): prediction is JsonPrediction {
  return 'json' in prediction && !isClass(prediction);
}

function isClass(prediction: Prediction): prediction is ClassPrediction {
  return 'label' in prediction;
}

function showRanking(known: boolean | undefined, classes: readonly ClassPrediction[]): HTMLElement {
  const isUnknown = known === false;
  const show = scoreShower(classes.map(({ score }) => score));
  const list = element(
    'ol',
    { class: isUnknown ? 'ranking is-faint' : 'ranking' },
    classes.map((prediction, at) =>
      showRanked(prediction, { show, isOpen: at === 0 && !isUnknown }),
    ),
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

function showRanked(
  prediction: ClassPrediction,
  { show, isOpen }: { show: ReturnType<typeof scoreShower>; isOpen: boolean },
): HTMLElement {
  const { score, answer } = prediction;
  const head = [element('span', { class: 'question' }, nameOf(prediction)), show(score)];
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

function showNumbers(predictions: readonly NumberPrediction[]): HTMLElement {
  const texts = predictions.map(({ value }) => exact(value));
  return element('p', { class: 'figure' }, texts.join(', '));
}

/** The most characters of JSON that are shown. */
const jsonShownMax = 100_000;

function showJson({ json }: JsonPrediction): HTMLElement {
  const text = JSON.stringify(json, null, 2);
  const rest = text.length - jsonShownMax;
  return element(
    'section',
    { class: 'tensor' },
    element(
      'pre',
      { tabindex: 0, 'aria-label': 'The answer as JSON' },
      element('code', {}, text.slice(0, jsonShownMax)),
    ),
    rest > 0 &&
      element('p', { class: 'small muted' }, `and ${rest.toLocaleString('en')} characters more`),
  );
}

const shownMax = 200;

/** The tensors of an answer in JSON, or of one in binary. */
type ShownTensor = OutputTensor | TensorPrediction;

function showTensors(tensors: readonly ShownTensor[]): HTMLElement {
  return element('div', { class: 'stack' }, tensors.map(showTensor));
}

function showTensor({ name, datatype, shape, data }: ShownTensor): HTMLElement {
  const all = Array.from(data as ArrayLike<unknown>).flat(Number.POSITIVE_INFINITY);
  const values = all.slice(0, shownMax).map((value) => {
    if (typeof value === 'number' || typeof value === 'bigint') return exact(value);
    // Of numbers, those are texts that JSON has no number for, such as NaN.
    return datatype === 'BYTES' ? JSON.stringify(value) : String(value);
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
    rest > 0 && note(`and ${rest.toLocaleString('en')} more`),
  );
}
