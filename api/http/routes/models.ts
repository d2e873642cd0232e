// The native contract: scoring by model, and the list of models.

import type { Express, Request } from 'express';
import { nowMs } from '../../../shared/clock.js';
import { ScorelineError } from '../../../shared/errors.js';
import { findModel, type Model } from '../../../shared/models.js';
import { type InputKinds, outputKinds, type RawInput } from '../../kinds/kinds.js';
import type { Queue } from '../../queue/queue.js';
import { readIdempotencyKey } from '../../repeat/idempotency.js';
import type { Scoring } from '../../scoring.js';
import { type Body, inputMissing, type ReadBody } from '../body.js';
import { sendJson } from '../json.js';
import { allow } from '../methods.js';
import { type Given, readDeadlineAt, readTop } from '../parameters.js';
import { asObject } from './reference.js';

const addresses = ['/v1/models/:model/score', '/v1/models/:model/versions/:version/score'];

export function addModelRoutes(
  app: Express,
  options: {
    models: readonly Model[];
    kinds: InputKinds;
    scoring: Scoring;
    readAny: ReadBody;
    queue: Pick<Queue, 'countWorkers' | 'readCounts' | 'jobsIn'>;
  },
): void {
  const { models, kinds, scoring, readAny, queue } = options;

  // First what is asked most: the router tries its routes one after the other.
  app.post(addresses, async (request, response) => {
    const model = modelOf(request);
    const arrivedAt = nowMs();
    const key = readIdempotencyKey(request);
    const { input, given } = readInput(await readAny(request, response), model, request);
    const top = readTop(given, model);
    const deadlineAt = readDeadlineAt(request, given, model, arrivedAt);
    const [reply] = await scoring.score({ model, inputs: [input], top, deadlineAt, key }, response);
    if (!reply) throw new Error('One input has one reply. This is a bug.');
    sendJson(response, {
      model: model.name,
      version: model.version,
      id: reply.id,
      predictions: outputKinds[model.manifest.output.kind].predictions(reply.scores, model.labels),
      timing: reply.timing,
    });
  });

  app.get('/v1/models', async (_request, response) => {
    const queues = models.map((model) => model.queue);
    const workers = await queue.countWorkers(queues);
    const counts = await queue.readCounts(queues);
    response.json({
      models: models.map((model, index) => ({
        ...describe(model),
        workers: workers[index] ?? 0,
        jobs: queue.jobsIn(model.queue) ?? null,
        ...counts[index],
      })),
    });
  });

  app.all(addresses, allow('POST'));
  app.all('/v1/models', allow('GET', 'HEAD'));

  function modelOf(request: Request): Model {
    const model = findModel(models, String(request.params.model));
    const { version } = request.params;
    if (version === undefined || version === model.version) return model;
    throw new ScorelineError(
      'model_not_found',
      `There is no version ${JSON.stringify(version)} of ${model.name}. The version here: ${model.version}.`,
    );
  }

  function readInput(
    body: Body,
    model: Model,
    request: Request,
  ): { input: RawInput; given: Given } {
    const kind = kinds[model.manifest.input.kind];
    if (body.type === 'bytes') return { input: kind.fromBytes(body.bytes), given: request.query };
    if (body.type === 'json') {
      const value = asObject(body.value);
      if (value.input === undefined) throw inputMissing();
      return { input: onlyOne(kind.fromJson(value.input)), given: { ...request.query, ...value } };
    }
    const { input, ...fields } = body.fields;
    const inputs = [
      ...body.files.map((file) => kind.fromBytes(file.bytes, file.name)),
      ...(input === undefined ? [] : kind.fromJson(input)),
    ];
    return { input: onlyOne(inputs), given: { ...request.query, ...fields } };
  }
}

function onlyOne(inputs: readonly RawInput[]): RawInput {
  const [input, ...others] = inputs;
  if (!input) {
    throw new ScorelineError(
      'input_missing',
      'Expected one file, or the field "input"; there is none.',
    );
  }
  if (others.length === 0) return input;
  throw new ScorelineError(
    'too_many_inputs',
    `Expected one input in a request; got ${inputs.length}. Send one request for each: they are batched by themselves.`,
  );
}

function describe(model: Model) {
  const { description, input, output, batch, deadlineMs } = model.manifest;
  return {
    name: model.name,
    version: model.version,
    description,
    input,
    output: { kind: output.kind, classes: model.labels.length, top: output.top },
    batchMax: batch.max,
    deadlineMs,
  };
}
