// The gate: a request for which there is no room is refused here, before Express sees it and before
// its body is read. When much more comes than can be scored, refusing is most of what an API does,
// and the way through the router and the parsers takes longer than all the rest of it.
//
// What the gate does not recognise goes on, and is admitted or refused when its input is known.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { nowMs } from '../../shared/clock.js';
import { ScorelineError } from '../../shared/errors.js';
import type { Model } from '../../shared/models.js';
import type { Scoring } from '../scoring.js';
import { type Given, readDeadlineAt } from './parameters.js';
import { sendProblem } from './problem.js';

/** Answers a request that is refused; says whether it did. */
export type Gate = (request: IncomingMessage, response: ServerResponse) => boolean;

const address = /^\/v1\/models\/([^/]+)\/(?:versions\/[^/]+\/)?score$/;

export function makeGate(options: { models: readonly Model[]; scoring: Scoring }): Gate {
  const { models, scoring } = options;

  /** The model, where the address alone tells. */
  const modelOf = (path: string, query: Given): Model | undefined => {
    const isReference = path === '/score';
    const name = isReference ? query.model : address.exec(path)?.[1];
    if (isReference && name === undefined && models.length === 1) return models[0];
    return models.find((model) => model.name === name);
  };

  return (request, response) => {
    // A result that is there is answered whatever the load; the key is looked up later.
    if (request.method !== 'POST' || request.headers['idempotency-key'] !== undefined) return false;
    const [path = '', text] = (request.url ?? '').split('?', 2);
    const query = Object.fromEntries(new URLSearchParams(text));
    const model = modelOf(path, query);
    if (!model) return false;
    try {
      scoring.check(model, readDeadlineAt(request, query, model, nowMs()));
      return false;
    } catch (error) {
      if (!(error instanceof ScorelineError)) throw error;
      sendProblem(response, error);
      return true;
    }
  };
}
