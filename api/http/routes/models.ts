// The routes of the native contract: scoring by model, and the list of models.

import type { Express, Request } from 'express';
import { ScorelineError } from '../../../shared/errors.js';
import type { Model } from '../../../shared/models.js';
import type { Registry } from '../../../shared/registry.js';
import { catalogueOf } from '../../access/caller.js';
import { writeNativeAnswer } from '../../kinds/answers.js';
import type { RawInput } from '../../kinds/kind.js';
import { type InputKinds, kindsOf, readInputs } from '../../kinds/kinds.js';
import type { Queue } from '../../queue/queue.js';
import type { Scoring } from '../../scoring.js';
import { asObject, type Body, inputMissing, type ReadBody } from '../body.js';
import { callerOf, type Gate } from '../gate.js';
import { sendJsonText } from '../json.js';
import { allow } from '../methods.js';
import { needs } from '../needs.js';
import { type Given, queryOf, readDeadlineMs, readWish } from '../parameters.js';
import { parsePriority } from '../priority.js';
import type { ScoreRoute } from './score-route.js';

const addresses = ['/v1/models/:model/score', '/v1/models/:model/versions/:version/score'];

/** Scores the one input of a request for the model of its call. */
export function makeScoreNative(options: {
  kinds: InputKinds;
  scoring: Scoring;
  readAny: ReadBody;
}): ScoreRoute {
  const { kinds, scoring, readAny } = options;

  return async (call, request, response) => {
    const { model } = call;
    // Refuses a request to a model of tensors before its body is read.
    kindsOf(kinds, model);
    const body = await readAny(call, request, response);
    if (body.type === 'bytes') checkMediaType(request, kinds, model);
    const { input, given } = readInput(body, kinds, model);
    const wish = readWish({ ...queryOf(request), ...given }, model);
    const deadlineMs = readDeadlineMs(given);
    if (deadlineMs !== undefined) call.hasten(call.arrivedAt + deadlineMs);
    const priority = parsePriority(given.priority, 'priority');
    if (priority) call.prioritise(priority);
    call.deferral?.writeAs({ route: 'native' });
    const [reply] = await scoring.score(call, [input], wish);
    if (!reply) throw new Error('One input has one reply. This is a bug.');
    sendJsonText(response, writeNativeAnswer(kinds, model, reply));
  };
}

export function addModelRoutes(
  app: Express,
  options: {
    registry: Registry;
    gate: Gate;
    score: ScoreRoute;
    queue: Pick<Queue, 'countWorkers' | 'readCounts' | 'unansweredIn'>;
  },
): void {
  const { registry, gate, score, queue } = options;

  app.post(addresses, (request, response) =>
    score(gate.callOf(request, response, [modelOf(request)]), request, response),
  );

  app.get('/v1/models', needs('score', 'jobs'), async (request, response) => {
    const { models, leftOut } = catalogueOf(callerOf(request), registry);
    const queues = models.map((model) => model.queue);
    const workers = await queue.countWorkers(queues);
    const counts = await queue.readCounts(queues);
    response.json({
      models: models.map((model, index) => ({
        ...describe(model),
        workers: workers[index] ?? 0,
        unanswered: queue.unansweredIn(model.queue) ?? null,
        ...counts[index],
      })),
      // The reasons hold paths, so they are only in the log.
      leftOut: leftOut.map(({ name, error }) => ({ name, code: error.code })),
    });
  });

  app.all(addresses, allow('POST'));
  app.all('/v1/models', allow('GET', 'HEAD'));

  function modelOf(request: Request): Model {
    const { model, version } = request.params;
    const known = catalogueOf(callerOf(request), registry);
    return known.find(String(model), version === undefined ? undefined : String(version));
  }
}

/** @throws ScorelineError `unsupported_media_type` if the model takes inputs of another kind */
function checkMediaType(request: Request, kinds: InputKinds, model: Model): void {
  const { mediaTypes, noun } = kindsOf(kinds, model).input;
  const type = request.is(['text/*', 'image/*']);
  if (type === false || request.is(mediaTypes)) return;
  throw new ScorelineError(
    'unsupported_media_type',
    `The model ${model.name} takes ${noun}. Expected the content type ${mediaTypes}; got ${type}.`,
  );
}

/** Reads the input of a body, and the parameters beside it. */
function readInput(body: Body, kinds: InputKinds, model: Model): { input: RawInput; given: Given } {
  const { input: kind } = kindsOf(kinds, model);
  if (body.type === 'bytes') {
    return { input: kind.fromBytes(body.bytes, { charset: body.charset }), given: {} };
  }
  if (body.type === 'json') {
    const value = asObject(body.value);
    if (value.input === undefined) throw inputMissing();
    return { input: onlyOne(readInputs(kinds, model, value.input)), given: value };
  }
  const { input, ...fields } = body.fields;
  const inputs = [
    ...body.files.map(({ name, bytes }) => kind.fromBytes(bytes, { name })),
    ...(input === undefined ? [] : readInputs(kinds, model, input)),
  ];
  return { input: onlyOne(inputs), given: fields };
}

function onlyOne(inputs: readonly RawInput[]): RawInput {
  const [input, ...others] = inputs;
  if (!input) {
    throw new ScorelineError(
      'input_missing',
      'Expected one file, or the field "input"; got neither.',
    );
  }
  if (others.length === 0) return input;
  throw new ScorelineError(
    'too_many_inputs',
    `Expected one input in a request; got ${inputs.length}. Send one request for each: the service batches them.`,
  );
}

function describe(model: Model) {
  const { description, input, output, network, batch, deadlineMs } = model.manifest;
  return {
    name: model.name,
    version: model.version,
    queue: model.queue,
    description,
    input,
    output:
      'labels' in output
        ? { kind: output.kind, classes: model.labels.length, top: output.top }
        : output,
    ...(network && { network }),
    batchMax: batch.max,
    deadlineMs,
  };
}
