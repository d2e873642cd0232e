// Ranked classes with their scores as bars.

import type { ClassPrediction } from '../../../client/client.js';
import { type Child, element } from './element.js';
import { areShares, exact, scoreWriter } from './format.js';

/**
 * Returns how to show each of some scores: its number, with all digits for whoever points at it, and a bar if all of
 * them are shares.
 */
export function scoreShower(scores: readonly number[]): (score: number) => readonly Child[] {
  const write = scoreWriter(scores);
  const haveBars = areShares(scores);
  return (score) => [
    element('span', { class: 'score', title: exact(score) }, write(score)),
    haveBars && makeBar(score),
  ];
}

/** The number beside it says the same to those who do not see it. */
function makeBar(score: number): HTMLElement {
  const fill = element('span', { class: 'bar-fill' });
  fill.style.setProperty('inline-size', `${score * 100}%`);
  return element('span', { class: 'bar', 'aria-hidden': 'true' }, fill);
}

export function showClasses(predictions: readonly ClassPrediction[]): HTMLElement {
  const show = scoreShower(predictions.map(({ score }) => score));
  return element(
    'ol',
    { class: 'classes' },
    predictions.map((prediction) =>
      element(
        'li',
        {},
        element('span', { class: 'class-label', title: prediction.label }, nameOf(prediction)),
        show(prediction.score),
      ),
    ),
  );
}

/** Returns what people know a class as: its question if it has one. Labels of ImageNet begin with the id of a synset. */
export function nameOf({ label, question }: ClassPrediction): string {
  return typeof question === 'string' ? question : label.replace(/^n\d{8} /, '');
}
