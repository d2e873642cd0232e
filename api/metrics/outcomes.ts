// Counts outcomes by model: of what the response cache has served, and of the copies that shadow versions got.

import type { Instruments } from '../../shared/metrics/instruments.js';
import type { Model } from '../../shared/registry/models.js';
import type { Registry } from '../../shared/registry/registry.js';

/** Returns a function to be called with each outcome. */
export function makeOutcomeMetrics<Outcome extends string>(
  instruments: Instruments,
  registry: Pick<Registry, 'subscribe'>,
  metric: 'cacheRequests' | 'shadowAnswers',
  outcomes: readonly Outcome[],
): (model: Model, outcome: Outcome) => void {
  const count = ({ name: model, version }: Model, outcome: Outcome, amount: number) =>
    instruments.add(metric, { model, version, outcome }, amount);

  registry.subscribe(({ added }) => {
    for (const model of added) for (const outcome of outcomes) count(model, outcome, 0);
  });
  return (model, outcome) => count(model, outcome, 1);
}
