// Counts how the answers of shadow versions compare.

import type { Instruments } from '../../shared/metrics/instruments.js';
import type { Model } from '../../shared/registry/models.js';
import type { Registry } from '../../shared/registry/registry.js';
import { type ShadowOutcome, shadowOutcomes } from '../versions/shadows.js';

/** Returns a function to be called for each copy of an input. */
export function makeShadowMetrics(
  instruments: Instruments,
  registry: Pick<Registry, 'subscribe'>,
): (shadow: Model, outcome: ShadowOutcome) => void {
  const count = ({ name: model, version }: Model, outcome: ShadowOutcome, amount = 1) =>
    instruments.add('shadowAnswers', { model, version, outcome }, amount);

  registry.subscribe(({ added }) => {
    for (const model of added) for (const outcome of shadowOutcomes) count(model, outcome, 0);
  });
  return (shadow, outcome) => count(shadow, outcome);
}
