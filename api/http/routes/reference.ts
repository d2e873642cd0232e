// The reference contract: what clients of the architecture's first implementation speak.

import type { Express, Request, Response } from 'express';
import { nowMs } from '../../../shared/clock.js';
import { ScorelineError } from '../../../shared/errors.js';
import { findModel, type Model } from '../../../shared/models.js';
import { type InputKinds, outputKinds } from '../../kinds/kinds.js';
import { readIdempotencyKey } from '../../repeat/idempotency.js';
import type { Scoring } from '../../scoring.js';
import { inputMissing, type ReadBody } from '../body.js';
import { sendJsonText } from '../json.js';
import { allow } from '../methods.js';
import { readDeadlineAt } from '../parameters.js';

export function addReferenceRoutes(
  app: Express,
  options: {
    models: readonly Model[];
    kinds: InputKinds;
    scoring: Scoring;
    readJson: ReadBody;
    version: string;
  },
): void {
  const { models, kinds, scoring, readJson, version } = options;

  app.post('/score', async (request: Request, response: Response) => {
    const started = performance.now();
    const arrivedAt = nowMs();
    const key = readIdempotencyKey(request);
    const body = await readJson(request, response);
    const given = asObject(body.type === 'json' ? body.value : undefined);
    if (given.input === undefined) throw inputMissing();
    const model = chooseModel(request.query.model, given.input);
    const { manifest, labels } = model;
    const output = outputKinds[manifest.output.kind];
    const inputs = kinds[manifest.input.kind].fromJson(given.input);
    const asked = { ...request.query, ...given };
    const deadlineAt = readDeadlineAt(request, asked, model, arrivedAt);
    const top = output.referenceTop(model);

    const replies = await scoring.score({ model, inputs, top, deadlineAt, key }, response);
    const results = replies.map(({ scores }, index) => ({
      name: inputs[index]?.name ?? '',
      scores,
    }));
    const ms = (performance.now() - started).toFixed(2);
    const result = output.referenceResult(results, labels);
    sendJsonText(response, `{"result":[${result},"Computed in ${ms} ms"]}`);
  });

  app.get('/', (_request, response) => {
    response.type('text/plain').send('Healthy');
  });

  app.get('/version', (_request, response) => {
    response.type('text/plain').send(version);
  });

  app.all('/score', allow('POST'));
  app.all(['/', '/version'], allow('GET', 'HEAD'));

  /** The model that was named, or the first whose kind of input has the form that came. */
  function chooseModel(name: unknown, input: unknown): Model {
    if (name !== undefined) return findModel(models, String(name));
    const model = models.find(({ manifest }) => kinds[manifest.input.kind].matchesJson(input));
    if (model) return model;
    throw new ScorelineError(
      'input_invalid',
      'Expected "input" to be a text, or {"<name>": "<base64 of an image>"}, for a model that is served here; got something else. See GET /v1/models.',
    );
  }
}

export function asObject(value: unknown): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw inputMissing();
}
