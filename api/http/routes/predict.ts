// V1 of KServe and TensorFlow Serving, for clients that cannot be changed: `instances` in, `predictions` out. A model whose
// network the manifest declares gets and gives tensors. Any other gets each instance as an input of its kind. Some clients
// take only `application/json` for the type of an answer, as these servers send it.

import type { Express, Request, Response } from 'express';
import { ScorelineError } from '../../../shared/errors.js';
import type { Model } from '../../../shared/registry/models.js';
import type { Call } from '../../call/call.js';
import type { Description } from '../../inference/description.js';
import { parseLists } from '../../inference/exact-json.js';
import { countListed, inTurns, sizesOf } from '../../inference/json-tensor.js';
import { readPredictRequest, readValues } from '../../inference/predict-request.js';
import { writePrediction } from '../../inference/predict-response.js';
import { scoreInference } from '../../inference/score.js';
import { withInputsAsWritten } from '../../json-text.js';
import { writePredictions } from '../../kinds/answers.js';
import { type InputKinds, readInput } from '../../kinds/kinds.js';
import { parseGiven } from '../../parse-json.js';
import type { Scoring } from '../../scoring.js';
import { sendCompressed } from '../answers/compression.js';
import { sendParts } from '../answers/json.js';
import { charsetOf, decodeJson } from '../body/body.js';
import type { ReadBytes } from '../body/bytes.js';
import { callerOf } from '../gate/gate.js';
import { allow } from '../gate/methods.js';
import { needs } from '../gate/needs.js';
import { nameOf } from '../parameters/model-name.js';
import { readWish } from '../parameters/parameters.js';
import { writeTiming } from './infer.js';
import type { ListsAndStreams } from './lists-and-streams.js';
import { nothingHere } from './nothing-here.js';
import { addressesOf, addScoreRoute, type ScoreHandler, type ScoreRoute } from './score-route.js';

export function makeScorePredict(options: {
  kinds: InputKinds;
  scoring: Scoring;
  listsAndStreams: Pick<ListsAndStreams, 'checkCount'>;
  readBytes: ReadBytes;
  rowsMax: number;
  jsonBytesMax: number;
}): ScoreHandler {
  const { kinds, scoring, listsAndStreams, readBytes, rowsMax, jsonBytesMax } = options;

  /** Reads a body of JSON, whatever its declared type, as the servers of V1 do. */
  const readText = async (call: Call, request: Request, response: Response): Promise<string> => {
    const body = await readBytes(call, request, response);
    if (body.length > jsonBytesMax) {
      throw new ScorelineError(
        'body_too_large',
        `Expected at most ${jsonBytesMax} bytes of JSON; got ${body.length}. Send fewer rows, or binary tensors to POST /v2/models/${call.model.name}/infer.`,
      );
    }
    return decodeJson(body, charsetOf(request));
  };

  const scoreTensors = async (call: Call, text: string): Promise<string> => {
    const { model } = call;
    const value = parseGiven(text, expectedJson, parseLists);
    const { asked, isColumnar } = readPredictRequest(value, text, { model, rowsMax });
    const form = { outputs: asked.outputs.map(({ name }) => name), isColumnar };
    call.deferral?.writeAs({ route: 'predict', ...form });
    return call.run(async () => {
      const items = await scoreInference(scoring, call, asked);
      call.dropBody();
      return inTurns(call, countListed(sizesOf(items.flat())), writePrediction(model, form, items));
    });
  };

  const scoreInputs = async (call: Call, text: string): Promise<string> => {
    const { model } = call;
    const parsed = parseGiven(text, expectedJson);
    const isJson = model.manifest.input.kind === 'json';
    const instances = readInstances(isJson ? withInputsAsWritten(text, parsed) : parsed, model);
    listsAndStreams.checkCount(instances.length);
    const inputs = instances.map((instance) => readInput(kinds, model, instance));
    call.assign(model, inputs.length);
    call.deferral?.writeAs({ route: 'predict', outputs: [], isColumnar: false });
    return writePredictions(kinds, model, await scoring.score(call, inputs, readWish({}, model)));
  };

  return async (call, request, response) => {
    const text = await readText(call, request, response);
    const score = call.model.manifest.network ? scoreTensors : scoreInputs;
    const answer = await score(call, text);
    if (call.timing) response.setHeader('Server-Timing', writeTiming(call.timing));
    await sendCompressed(response, answer, json);
  };
}

export function addPredictRoutes(
  app: Express,
  { description, ...options }: ScoreRoute & { description: Description },
): void {
  const mayLook = needs('score', 'jobs');

  addScoreRoute(app, addressesOf('/v1/models', '\\:predict'), options);
  app.all(
    addressesOf('/v1/models', '\\::verb'),
    nothingHere(
      'Of the verbs of V1 of KServe and TensorFlow Serving, only POST /v1/models/{model}:predict is served. See GET /docs/migrating.',
    ),
  );
  app.get(models, mayLook, async (request, response) => {
    const answer = await description.statusOf(callerOf(request), nameOf(request));
    sendParts(response, [Buffer.from(JSON.stringify(answer))], json, answer.ready ? 200 : 503);
  });
  app.get(signatures, mayLook, (request, response) => {
    const answer = description.signatureOf(callerOf(request), nameOf(request));
    sendParts(response, [Buffer.from(JSON.stringify(answer))], json);
  });
  app.all([...models, ...signatures], allow('GET', 'HEAD'));
}

const models = addressesOf('/v1/models', '');
const signatures = addressesOf('/v1/models', '/metadata');
const json = { 'Content-Type': 'application/json' };

const expectedJson =
  'Expected JSON with "instances"; it could not be parsed. JSON has no NaN and no infinities: write "NaN", "Infinity" or "-Infinity" in quotes.';

/** @throws ScorelineError `input_invalid`, and the errors of `readValues` */
function readInstances(value: unknown, { name }: Model): readonly unknown[] {
  const values = readValues(value);
  if ('instances' in values) return values.instances;
  throw new ScorelineError(
    'input_invalid',
    `Expected "instances", a list of inputs, since ${name} declares no tensors; got "inputs".`,
  );
}
