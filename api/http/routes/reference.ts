// The routes of the reference contract, for clients of the architecture's first implementation.

import type { Express, Request, Response } from 'express';
import { ScorelineError } from '../../../shared/errors.js';
import { isJsonObject } from '../../../shared/json-object.js';
import type { Model } from '../../../shared/registry/models.js';
import { shown } from '../../../shared/shown.js';
import { catalogueOf } from '../../access/caller.js';
import type { Call } from '../../call/call.js';
import { writeReferenceAnswer } from '../../kinds/answers.js';
import { type InputKinds, kindsOf, readInputs } from '../../kinds/kinds.js';
import { routeTo, routeToAny } from '../../routing.js';
import type { Scoring } from '../../scoring.js';
import { sendJsonText } from '../answers/json.js';
import { applyParameters, asObject, lacksInput, type ReadBody } from '../body/body.js';
import { callerOf } from '../gate/gate.js';
import { allow } from '../gate/methods.js';
import { headersOf } from '../gate/open-call.js';
import { refuseOther } from '../parameters/model-name.js';
import { queryOf, wishWithoutClasses } from '../parameters/parameters.js';
import type { ScoreHandler, ScoreRoute } from './score-route.js';

/** Matches the beginning of a body whose input comes first, and captures the input's first character. */
const inputFirst = /^\s*\{\s*"input"\s*:\s*(["{])/;
const peekBytes = 256;

/** Scores the inputs of a request for the model that it names, or that the form of its input means. */
export function makeScoreReference(options: {
  kinds: InputKinds;
  scoring: Scoring;
  readJson: ReadBody<{ type: 'json'; value: unknown }>;
}): ScoreHandler {
  const { kinds, scoring, readJson } = options;

  /** Reads what a request asks for. Once its inputs are prepared, nothing has its body any more. */
  const readAsked = async (call: Call, request: Request, response: Response) => {
    const query = queryOf(request);
    const { model: name } = query;
    const { value } = await readJson(call, request, response, (first) => narrow(call, first));
    const given = asObject(value);
    if (given.input === undefined) throw lacksInput(given);
    const model = name === undefined ? chooseModel(call.models, given.input) : call.model;
    for (const names of [query, given]) refuseOther(names, model);
    const { output } = kindsOf(kinds, model);
    const inputs = readInputs(kinds, model, given.input);
    applyParameters(call, given);
    call.assign(model, inputs.length);
    const names = inputs.map(({ name }) => name ?? '');
    call.deferral?.writeAs({ route: 'reference', names });
    return { model, output, inputs, names };
  };

  return async (call, request, response) => {
    const started = performance.now();
    const { model, output, inputs, names } = await readAsked(call, request, response);
    const top = output.referenceTop(model);
    const wish = top === undefined ? wishWithoutClasses(model) : { top };
    const replies = await scoring.score(call, inputs, wish);
    const ms = performance.now() - started;
    sendJsonText(response, writeReferenceAnswer(kinds, model, { replies, names, ms }));
  };

  /** Narrows the models by the first bytes of the body, so a request without room is refused early. */
  function narrow(call: Call, first: Buffer): void {
    if (call.models.length === 1) return;
    const [, opening] = inputFirst.exec(first.toString('latin1', 0, peekBytes)) ?? [];
    if (opening !== undefined) call.narrow(withOpening(call.models, opening));
  }

  function withOpening(models: readonly Model[], opening: string | undefined): readonly Model[] {
    return models.filter(
      ({ manifest: { input } }) =>
        input.kind !== 'tensors' && kinds[input.kind].jsonOpening === opening,
    );
  }

  /** Chooses the first model whose input kind has this form in JSON. */
  function chooseModel(models: readonly Model[], input: unknown): Model {
    const [model] = withOpening(models, openingOf(input));
    if (model) return model;
    throw new ScorelineError(
      'input_invalid',
      `Expected "input" to be a string, or {"<name>": "<base64 of an image>"}, for a model that is served here; got ${shown(input)}. For a row of a table, JSON or a file, name the model: /score?model=NAME. See GET /v1/models.`,
    );
  }
}

export function addReferenceRoutes(
  app: Express,
  { registry, gate, score, version }: ScoreRoute & { version: string },
): void {
  app.post('/score', (request, response) => {
    const { model } = request.query;
    const known = catalogueOf(callerOf(request), registry);
    const read = headersOf(request);
    const models =
      model === undefined
        ? routeToAny(known, read)
        : [routeTo(known, { name: String(model) }, read)];
    return score(gate.callOf(request, response, models), request, response);
  });

  app.get('/version', (_request, response) => {
    response.type('text/plain').send(version);
  });

  app.all('/score', allow('POST'));
  app.all('/version', allow('GET', 'HEAD'));
}

/** Returns the first character of the value's JSON if it is a string or an object. */
function openingOf(input: unknown): string | undefined {
  if (typeof input === 'string') return '"';
  return isJsonObject(input) ? '{' : undefined;
}
