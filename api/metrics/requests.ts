// Counts each request once, when it departs, so its client never waits for that.

import { nowMs } from '../../shared/clock.js';
import { overloadReasons } from '../../shared/errors.js';
import type { Instruments, Labels } from '../../shared/metrics/instruments.js';
import { faultCodes, refusalCodes, scoringRoutes } from '../../shared/metrics/table.js';
import type { Registry } from '../../shared/registry/registry.js';
import type { RequestEvents } from '../events.js';

type ModelLabels = Labels<'requestSeconds'>;

/** The labels of a request that names no model that is served. */
const noModel: ModelLabels = { model: '', version: '' };
/** The labels of a request to a model that is here and cannot be served. */
const unserved = (model: string): ModelLabels => ({ model, version: '' });
const refusals: ReadonlySet<string> = new Set(refusalCodes);

export function makeRequestMetrics(
  instruments: Instruments,
  registry: Pick<Registry, 'subscribe' | 'leftOut'>,
): Omit<RequestEvents, 'arrived'> {
  /** By queue. A model may be read again while it is served. */
  const known = new Map<string, ModelLabels>();
  beginSeries(instruments, noModel, ['health', 'other']);
  registry.subscribe(({ added, removed }) => {
    for (const model of removed) known.delete(model.queue);
    for (const model of added) {
      const labels = { model: model.name, version: model.version };
      known.set(model.queue, labels);
      beginSeries(instruments, labels, scoringRoutes);
      instruments.begin('requestSeconds', labels);
      if (model.manifest.input.kind !== 'tensors') instruments.begin('preparationSeconds', labels);
    }
    for (const { name, error } of registry.leftOut) {
      if (error.code !== 'model_not_found') beginSeries(instruments, unserved(name), scoringRoutes);
    }
  });

  return {
    watchesAll: true,
    departed({ route, code, call, models = [], failure, trace }) {
      // A call may be for any model until its message is read, even if that names another.
      const isKnown = failure?.code !== 'model_not_found';
      const [model, ...others] = isKnown ? (call?.models ?? models) : [];
      const labels =
        failure?.unservedModel === undefined
          ? (model && others.length === 0 && known.get(model.queue)) || noModel
          : unserved(failure.unservedModel);
      const { model: name, version } = labels;
      instruments.add('requests', { route, model: name, version, code });
      if (failure && (failure.reason !== undefined || refusals.has(failure.code))) {
        const reason = failure.reason ?? failure.code;
        instruments.add('refusals', { model: name, version, reason });
      }
      // A stream takes as long as its client sends.
      if (!call || call.isStream || labels.version === '') return;
      const seconds = Math.max(0, nowMs() - call.arrivedAt) / 1000;
      instruments.observe('requestSeconds', labels, seconds, trace);
      const { preparingMs } = call;
      if (preparingMs !== undefined) {
        instruments.observe('preparationSeconds', labels, preparingMs / 1000, trace);
      }
    },
  };
}

function beginSeries(instruments: Instruments, labels: ModelLabels, routes: readonly string[]) {
  for (const route of routes) {
    for (const code of ['ok', ...faultCodes]) {
      instruments.add('requests', { route, ...labels, code }, 0);
    }
  }
  for (const reason of [...Object.keys(overloadReasons), ...refusalCodes]) {
    instruments.add('refusals', { ...labels, reason }, 0);
  }
}
