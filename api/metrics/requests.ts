// Counts each request once, when it departs, so its client never waits for that.

import type { ServerResponse } from 'node:http';
import { nowMs } from '../../shared/clock.js';
import { overloadReasons } from '../../shared/errors.js';
import type { Instruments, Labels } from '../../shared/metrics/instruments.js';
import { faultCodes, refusalCodes } from '../../shared/metrics/table.js';
import type { Model } from '../../shared/models.js';
import type { Registry } from '../../shared/registry.js';
import { onDeparture } from '../http/departure.js';
import type { GatedRequest } from '../http/json.js';
import { routeOf } from '../http/open-call.js';
import { openPaths, pathOf } from '../http/paths.js';

export interface RequestMetrics {
  /** Counts the request when it departs. */
  watch(request: GatedRequest, response: ServerResponse): void;
}

type ModelLabels = Labels<'requestSeconds'>;

/** The labels of a request that names no model that is served. */
const noModel: ModelLabels = { model: '', version: '' };
const refusals: ReadonlySet<string> = new Set(refusalCodes);

export function makeRequestMetrics(
  instruments: Instruments,
  registry: Pick<Registry, 'subscribe'>,
): RequestMetrics {
  const known = new Map<Model, ModelLabels>();
  beginSeries(instruments, noModel, ['health', 'other']);
  registry.subscribe(({ added, removed }) => {
    for (const model of removed) known.delete(model);
    for (const model of added) {
      const labels = { model: model.name, version: model.version };
      known.set(model, labels);
      beginSeries(instruments, labels, ['reference', 'native', 'inference']);
      instruments.begin('requestSeconds', labels);
      if (model.manifest.input.kind !== 'tensors') instruments.begin('preparationSeconds', labels);
    }
  });

  const count = (request: GatedRequest, response: ServerResponse) => {
    const { call } = request;
    const [model, ...others] = call?.models ?? request.models ?? [];
    const labels = (model && others.length === 0 && known.get(model)) || noModel;
    const code = codeOf(request, response);
    const { model: name, version } = labels;
    instruments.add('requests', { route: labelOf(request), model: name, version, code });
    const { failure } = request;
    if (failure && (failure.reason !== undefined || refusals.has(failure.code))) {
      const reason = failure.reason ?? failure.code;
      instruments.add('refusals', { model: name, version, reason });
    }
    if (!call || labels === noModel) return;
    instruments.observe('requestSeconds', labels, Math.max(0, nowMs() - call.arrivedAt) / 1000);
    const { preparingMs } = call;
    if (preparingMs !== undefined) {
      instruments.observe('preparationSeconds', labels, preparingMs / 1000);
    }
  };

  return {
    watch: (request, response) => onDeparture(response, () => count(request, response)),
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

function labelOf(request: GatedRequest): string {
  const path = pathOf(request);
  if (request.models) return routeOf(path);
  return openPaths.has(path) ? 'health' : 'other';
}

function codeOf({ failure, call }: GatedRequest, response: ServerResponse): string {
  if (failure) return failure.code;
  if (!response.writableFinished && (call || !response.headersSent)) return 'client_closed';
  return response.statusCode === 503 ? 'not_ready' : 'ok';
}
