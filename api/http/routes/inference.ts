// The routes of the Open Inference Protocol that describe the service and its models, and the route that
// scores (infer.ts).

import express, { type Express } from 'express';
import type { Description } from '../../inference/description.js';
import { readIndexRequest } from '../../inference/index-request.js';
import { callerOf } from '../gate/gate.js';
import { allow } from '../gate/methods.js';
import { needs } from '../gate/needs.js';
import { nameOf } from '../parameters/model-name.js';
import { nothingHere } from './nothing-here.js';
import { addressesOf, addScoreRoute, type ScoreRoute } from './score-route.js';

const metadata = addressesOf('/v2/models', '');
const ready = addressesOf('/v2/models', '/ready');
const configuration = addressesOf('/v2/models', '/config');
const statistics = addressesOf('/v2/models', '/stats');
const allStatistics = '/v2/models/stats';
/** What clients of Triton look for besides. */
const extensions = [
  ...['systemsharedmemory', 'cudasharedmemory', 'trace', 'logging'],
  ...['trace', 'generate', 'generate_stream'].map(
    (what) => `models/:model{/versions/:version}/${what}`,
  ),
].map((address) => `/v2/${address}`);

export function addInferenceRoutes(
  app: Express,
  { description, ...options }: ScoreRoute & { description: Description },
): void {
  const mayLook = needs('score', 'jobs');
  const readJson = express.json({ type: () => true, limit: 4096 });

  addScoreRoute(app, addressesOf('/v2/models', '/infer'), options);

  app.get('/v2', mayLook, (_request, response) => {
    response.json(description.ofServer());
  });

  // Before the metadata of models, of which none can have this name.
  app.get(allStatistics, mayLook, (request, response) => {
    response.json(description.statisticsOf(callerOf(request)));
  });

  app.get(metadata, mayLook, (request, response) => {
    response.json(description.ofModel(callerOf(request), nameOf(request)));
  });

  app.get(ready, mayLook, async (request, response) => {
    const answer = await description.isReady(callerOf(request), nameOf(request));
    response.status(answer.ready ? 200 : 503).json(answer);
  });

  app.get(configuration, mayLook, (request, response) => {
    response.json(description.configurationOf(callerOf(request), nameOf(request)));
  });

  app.get(statistics, mayLook, (request, response) => {
    response.json(description.statisticsOf(callerOf(request), nameOf(request)));
  });

  app.post('/v2/repository/index', mayLook, readJson, async (request, response) => {
    const { ready: isOnlyReady = false } = readIndexRequest(request.body);
    response.json(await description.index(callerOf(request), { isOnlyReady }));
  });

  app.use(
    extensions,
    nothingHere(
      "Triton's shared memory, tracing, log settings and generate are not served. Send tensors to POST /v2/models/{model}/infer, large ones as binary data. See GET /docs/inference-protocol.",
    ),
  );
  app.all('/v2/repository/index', allow('POST'));
  app.all(
    ['/v2', allStatistics, ...metadata, ...ready, ...configuration, ...statistics],
    allow('GET', 'HEAD'),
  );
}
