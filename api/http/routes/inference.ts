// The routes of the Open Inference Protocol that describe the service and its models, and the route that
// scores (infer.ts).

import express, { type Express, type Request } from 'express';
import type { DeclaredTensor } from '../../../shared/manifest.js';
import type { Model } from '../../../shared/models.js';
import { openShape } from '../../../shared/network.js';
import type { Registry } from '../../../shared/registry.js';
import { catalogueOf } from '../../access/caller.js';
import { readIndexRequest } from '../../inference/index-request.js';
import { networkOf } from '../../inference/infer-request.js';
import { callerOf, type Gate } from '../gate.js';
import { allow } from '../methods.js';
import { needs } from '../needs.js';
import type { Readiness } from '../readiness.js';
import type { ScoreRoute } from './score-route.js';

const metadata = ['/v2/models/:model', '/v2/models/:model/versions/:version'];
const ready = ['/v2/models/:model/ready', '/v2/models/:model/versions/:version/ready'];
const infer = ['/v2/models/:model/infer', '/v2/models/:model/versions/:version/infer'];

export function addInferenceRoutes(
  app: Express,
  options: {
    registry: Registry;
    gate: Gate;
    score: ScoreRoute;
    readiness: Readiness;
    version: string;
  },
): void {
  const { registry, gate, score, readiness, version } = options;
  const mayLook = needs('score', 'jobs');
  const readJson = express.json({ type: () => true, limit: 4096 });

  const modelOf = (request: Request): Model => {
    const { model, version } = request.params;
    const known = catalogueOf(callerOf(request), registry);
    return known.find(String(model), version === undefined ? undefined : String(version));
  };

  app.post(infer, (request, response) =>
    score(gate.callOf(request, response, [modelOf(request)]), request, response),
  );

  app.get('/v2', mayLook, (_request, response) => {
    const extensions = ['binary_tensor_data', 'classification', 'parameters'];
    response.json({ name: 'scoreline', version, extensions });
  });

  app.get(metadata, mayLook, (request, response) => {
    const model = modelOf(request);
    const { models } = catalogueOf(callerOf(request), registry);
    const versions = models.filter(({ name }) => name === model.name).map((each) => each.version);
    const platform = 'onnxruntime_onnx';
    const { inputs, outputs } = networkOf(model);
    response.json({
      name: model.name,
      versions,
      platform,
      inputs: inputs.map(describe),
      outputs: outputs.map(describe),
    });
  });

  app.get(ready, mayLook, async (request, response) => {
    const model = modelOf(request);
    const missing = await readiness.missing([model]);
    const isReady = missing?.length === 0;
    response.status(isReady ? 200 : 503).json({ name: model.name, ready: isReady });
  });

  app.post('/v2/repository/index', mayLook, readJson, async (request, response) => {
    const { models, leftOut } = catalogueOf(callerOf(request), registry);
    const missing = await readiness.missing(models);
    const entries = [
      ...models.map((model) => ({
        name: model.name,
        version: model.version,
        ...stateOf(missing?.includes(model)),
      })),
      // The reasons hold paths, so they are only in the log.
      ...leftOut.map(({ name, error }) => ({
        name,
        state: 'UNAVAILABLE',
        reason: error.code as string,
      })),
    ];
    const { ready } = readIndexRequest(request.body);
    response.json(ready ? entries.filter(({ state }) => state === 'READY') : entries);
  });

  app.all(infer, allow('POST'));
  app.all('/v2/repository/index', allow('POST'));
  app.all(['/v2', ...metadata, ...ready], allow('GET', 'HEAD'));
}

function describe(value: DeclaredTensor): DeclaredTensor {
  return { ...value, shape: openShape(value) };
}

function stateOf(isMissing: boolean | undefined): { state: string; reason: string } {
  if (isMissing === undefined) return { state: 'UNAVAILABLE', reason: 'Redis cannot be reached' };
  if (isMissing) return { state: 'UNAVAILABLE', reason: 'no worker yet' };
  return { state: 'READY', reason: '' };
}
