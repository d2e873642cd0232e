// The routes that score the model that their address names.

import type { Express, Request, Response } from 'express';
import type { Model } from '../../../shared/registry/models.js';
import type { Registry } from '../../../shared/registry/registry.js';
import { catalogueOf } from '../../access/caller.js';
import type { Call } from '../../call/call.js';
import { routeTo } from '../../routing.js';
import { callerOf, type Gate } from '../gate/gate.js';
import { allow } from '../gate/methods.js';
import { headersOf } from '../gate/open-call.js';
import { nameOf } from '../parameters/model-name.js';

/**
 * Answers a request that is to be scored, for which a call was opened.
 * @throws ScorelineError what the client is told instead of an answer
 */
export type ScoreHandler = (call: Call, request: Request, response: Response) => Promise<void>;

export interface ScoreRoute {
  readonly registry: Registry;
  readonly gate: Gate;
  readonly score: ScoreHandler;
}

/** Returns the addresses of something for a model, and for one of its versions. */
export function addressesOf(models: '/v1/models' | '/v2/models', what: string): string[] {
  return [`${models}/:model${what}`, `${models}/:model/versions/:version${what}`];
}

export function addScoreRoute(
  app: Express,
  addresses: string[],
  { registry, gate, score }: ScoreRoute,
): void {
  const modelOf = (request: Request): Model =>
    routeTo(catalogueOf(callerOf(request), registry), nameOf(request), headersOf(request));
  app.post(addresses, (request, response) =>
    score(gate.callOf(request, response, [modelOf(request)]), request, response),
  );
  app.all(addresses, allow('POST'));
}
