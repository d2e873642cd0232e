// Counts each request once, when it departs, so its client never waits for that.

import type { ServerResponse } from 'node:http';
import { nowMs } from '../../shared/clock.js';
import { overloadReasons, type ScorelineError } from '../../shared/errors.js';
import type { Instruments, Labels } from '../../shared/metrics/instruments.js';
import { faultCodes, refusalCodes } from '../../shared/metrics/table.js';
import type { Model } from '../../shared/models.js';
import type { Registry } from '../../shared/registry.js';
import type { Call } from '../call.js';
import { onDeparture } from '../http/departure.js';
import type { GatedRequest } from '../http/json.js';
import { routeOf } from '../http/open-call.js';
import { openPaths, pathOf } from '../http/paths.js';

/** A request that has departed. */
export interface CountedRequest {
  /** One of the routes that docs/metrics.md names. */
  readonly route: string;
  /** `ok`, the code of an error, or `not_ready`. */
  readonly code: string;
  readonly call?: Pick<Call, 'models' | 'arrivedAt' | 'preparingMs' | 'isStream'> | undefined;
  /** The models that it may have been for, if no call was opened. */
  readonly models?: readonly Model[] | undefined;
  readonly failure?: ScorelineError | undefined;
}

export interface RequestMetrics {
  count(request: CountedRequest): void;
  /** Counts a request by HTTP when it departs. */
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
      beginSeries(instruments, labels, ['reference', 'native', 'inference', 'grpc']);
      instruments.begin('requestSeconds', labels);
      if (model.manifest.input.kind !== 'tensors') instruments.begin('preparationSeconds', labels);
    }
  });

  const count = ({ route, code, call, models = [], failure }: CountedRequest) => {
    // A call may be for any model until its message is read, even if that names another.
    const isKnown = failure?.code !== 'model_not_found';
    const [model, ...others] = isKnown ? (call?.models ?? models) : [];
    const labels = (model && others.length === 0 && known.get(model)) || noModel;
    const { model: name, version } = labels;
    instruments.add('requests', { route, model: name, version, code });
    if (failure && (failure.reason !== undefined || refusals.has(failure.code))) {
      const reason = failure.reason ?? failure.code;
      instruments.add('refusals', { model: name, version, reason });
    }
    // A stream takes as long as its client sends.
    if (!call || call.isStream || labels === noModel) return;
    instruments.observe('requestSeconds', labels, Math.max(0, nowMs() - call.arrivedAt) / 1000);
    const { preparingMs } = call;
    if (preparingMs !== undefined) {
      instruments.observe('preparationSeconds', labels, preparingMs / 1000);
    }
  };

  return {
    count,
    watch: (request, response) =>
      onDeparture(response, () => {
        const { call, models, failure } = request;
        const code = codeOf(request, response);
        count({ route: labelOf(request), code, call, models, failure });
      }),
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
