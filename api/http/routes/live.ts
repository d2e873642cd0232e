// The live view: what the requests of this instance did in the last minutes. In a local run, a worker can be
// killed as well, so one sees that no request is lost.

import express, { type Express, type Router } from 'express';
import { ScorelineError } from '../../../shared/errors.js';
import type { Catalogue } from '../../../shared/registry/registry.js';
import { catalogueOf } from '../../access/caller.js';
import { writeModel, writeUnnamed } from '../../live/document.js';
import type { LocalWorkers } from '../../live/local-workers.js';
import { type LiveSeries, type Sample, stepMs } from '../../live/series.js';
import { sendJson } from '../answers/json.js';
import { callerOf } from '../gate/gate.js';
import { allow } from '../gate/methods.js';
import { needs } from '../gate/needs.js';
import { isLocal, requireSameOrigin } from '../gate/same-origin.js';
import { notMeasured } from '../not-measured.js';

const live = '/v1/live';
const killing = '/v1/live/workers/:pid/kill';

export interface LiveParts {
  readonly instance: string;
  readonly registry: Catalogue;
  /** Undefined if nothing is measured. */
  readonly liveSeries: Pick<LiveSeries, 'read'> | undefined;
  readonly localWorkers: LocalWorkers;
}

export function addLiveRoutes(app: Express, parts: LiveParts): void {
  const { instance, registry, liveSeries, localWorkers } = parts;

  app.get(live, needs('score', 'jobs'), (request, response) => {
    if (!liveSeries) throw notMeasured();
    const after = readAfter(request.query.after);
    const samples = liveSeries.read().filter(({ atMs }) => atMs > after);
    const caller = callerOf(request);
    const { models } = catalogueOf(caller, registry);
    const { all: workers } = localWorkers;
    sendJson(response, {
      ...{ instance, stepMs },
      times: samples.map(({ atMs }) => atMs),
      models: models.map((model) => writeModel(model, samples)),
      // They may be for models that do not exist for a caller with some only.
      ...(caller.models === undefined && { unnamed: writeUnnamed(samples) }),
      ...(workers && isLocal(request) && { localWorkers: workers }),
    });
  });
  app.all(live, allow('GET', 'HEAD'));

  // Elsewhere there is no such address.
  const workers = makeWorkerRoute(localWorkers);
  app.use((request, response, next) => {
    if (localWorkers.all && isLocal(request)) workers(request, response, next);
    else next();
  });
}

function makeWorkerRoute(localWorkers: LocalWorkers): Router {
  const router = express.Router();
  router.post(killing, needs('admin'), (request, response) => {
    requireSameOrigin(request);
    const pid = Number(request.params.pid);
    const worker = localWorkers.all?.find((each) => each.pid === pid && each.isReady);
    if (!worker) throw noSuchWorker(localWorkers.all ?? []);
    localWorkers.kill(pid);
    sendJson(response, { pid, state: 'killed' }, { status: 202 });
  });
  router.all(killing, allow('POST'));
  return router;
}

/** Returns after which time samples are wanted. */
function readAfter(given: unknown): Sample['atMs'] {
  if (given === undefined) return 0;
  if (typeof given === 'string' && /^\d{1,15}$/.test(given)) return Number(given);
  throw new ScorelineError(
    'parameter_invalid',
    `Expected ?after to be one of "times", in milliseconds since the epoch; got ${JSON.stringify(given)?.slice(0, 60)}.`,
  );
}

function noSuchWorker(all: NonNullable<LocalWorkers['all']>): ScorelineError {
  const ready = all.filter(({ isReady }) => isReady).map(({ pid }) => pid);
  return new ScorelineError(
    'not_found',
    `Expected the process id of a worker that is ready; those are ${ready.join(', ') || 'none at the moment'}.`,
  );
}
