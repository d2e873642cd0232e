// The routes that load and unload models, for callers with the scope `admin`.

import express, { type Express, type Request, type Response } from 'express';
import { z } from 'zod';
import type { Configurations } from '../../../shared/configuration/configuration.js';
import { ScorelineError } from '../../../shared/errors.js';
import { parseGiven } from '../../parse-json.js';
import type { Rollout } from '../../versions/rollout.js';
import { allow } from '../gate/methods.js';
import { needs } from '../gate/needs.js';
import { forOperators } from '../gate/operators.js';
import { requireSameOrigin } from '../gate/same-origin.js';

const address = (what: string) => `/v2/repository/models/:model/${what}`;

/** Of the parameters of Triton, those that change a model's configuration are refused: the folder says what it is. */
const bodySchema = z
  .object({
    parameters: z.object({ unload_dependents: z.boolean().optional() }).strict().optional(),
  })
  .strict();

export function addRepositoryRoutes(
  app: Express,
  options: {
    configuration: Pick<Configurations['api'], 'AUTH'>;
    rollout: Pick<Rollout, 'load' | 'unload'>;
  },
): void {
  const { configuration, rollout } = options;
  const guards = [forOperators(configuration, 'that load and unload models'), needs()];
  const readBody = express.text({ type: () => true, limit: 4096 });
  for (const what of ['load', 'unload'] as const) {
    const order = async (request: Request, response: Response) => {
      requireSameOrigin(request);
      checkBody(request.body);
      await rollout[what](String(request.params.model));
      response.json({});
    };
    app.post(address(what), ...guards, readBody, order);
    app.all(address(what), allow('POST'));
  }
}

/** @throws ScorelineError `invalid_json`, `parameter_invalid` */
function checkBody(text: unknown): void {
  if (typeof text !== 'string' || text.trim() === '') return;
  const value = parseGiven(text, 'Expected no body or a JSON object; got neither.');
  const parsed = bodySchema.safeParse(value);
  if (parsed.success) return;
  throw new ScorelineError(
    'parameter_invalid',
    `Expected no parameters, since the folder of the model says what is loaded; got ${JSON.stringify(value).slice(0, 100)}. Change the folder, and then load the model.`,
  );
}
