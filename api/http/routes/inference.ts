// The routes of the Open Inference Protocol that describe the service and its models, and the route that
// scores (infer.ts).

import express, { type Express } from 'express';
import type { Registry } from '../../../shared/registry/registry.js';
import { catalogueOf } from '../../access/caller.js';
import type { Description } from '../../inference/description.js';
import { readIndexRequest } from '../../inference/index-request.js';
import { routeTo } from '../../routing.js';
import { callerOf, type Gate } from '../gate/gate.js';
import { allow } from '../gate/methods.js';
import { needs } from '../gate/needs.js';
import { headersOf } from '../gate/open-call.js';
import { nameOf } from '../parameters/model-name.js';
import type { ScoreHandler } from './score-handler.js';

const metadata = ['/v2/models/:model', '/v2/models/:model/versions/:version'];
const ready = [
  '/v2/models/:model/ready',
  '/v2/models/:model/versions/:version/ready',
  // That of V1 of KServe. Its verbs come before (predict.ts).
  '/v1/models/:model',
];
const configuration = ['/v2/models/:model/config', '/v2/models/:model/versions/:version/config'];
const statistics = ['/v2/models/:model/stats', '/v2/models/:model/versions/:version/stats'];
const infer = ['/v2/models/:model/infer', '/v2/models/:model/versions/:version/infer'];
const allStatistics = '/v2/models/stats';

export function addInferenceRoutes(
  app: Express,
  options: { registry: Registry; gate: Gate; score: ScoreHandler; description: Description },
): void {
  const { registry, gate, score, description } = options;
  const mayLook = needs('score', 'jobs');
  const readJson = express.json({ type: () => true, limit: 4096 });

  app.post(infer, (request, response) => {
    const known = catalogueOf(callerOf(request), registry);
    const model = routeTo(known, nameOf(request), headersOf(request));
    return score(gate.callOf(request, response, [model]), request, response);
  });

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

  app.all(infer, allow('POST'));
  app.all('/v2/repository/index', allow('POST'));
  app.all(
    ['/v2', allStatistics, ...metadata, ...ready, ...configuration, ...statistics],
    allow('GET', 'HEAD'),
  );
}
