// Ranked classes with their scores as bars.

import type { ClassPrediction } from '../../../client/client.js';
import { element } from './element.js';
import { percent } from './format.js';

/** Makes the bar of a score. The number beside it says the same to those who do not see it. */
export function makeBar(score: number): HTMLElement {
  const fill = element('span', { class: 'bar-fill' });
  fill.style.setProperty('inline-size', `${Math.max(0, Math.min(score, 1)) * 100}%`);
  return element('span', { class: 'bar', 'aria-hidden': 'true' }, fill);
}

export function showClasses(predictions: readonly ClassPrediction[]): HTMLElement {
  return element(
    'ol',
    { class: 'classes' },
    predictions.map((prediction) =>
      element(
        'li',
        {},
        element('span', { class: 'class-label' }, nameOf(prediction)),
        element('span', { class: 'score' }, percent(prediction.score)),
        makeBar(prediction.score),
      ),
    ),
  );
}

/** Returns what people know a class as: its question if it has one. Labels of ImageNet begin with the id of a synset. */
export function nameOf({ label, question }: ClassPrediction): string {
  return typeof question === 'string' ? question : label.replace(/^n\d{8} /, '');
}
