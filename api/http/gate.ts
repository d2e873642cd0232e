// The gate: opens a call for each request that is to be scored, before Express sees the request and
// before its body is read. Where there is no room the gate refuses it. When much more comes than
// can be scored, refusing is most of what an API does, and the way through the router and the parsers
// takes longer than all the rest of it.
//
// Requests that the gate does not recognise go on to Express, which answers them without scoring.

import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { nowMs } from '../../shared/clock.js';
import { ScorelineError } from '../../shared/errors.js';
import type { Model } from '../../shared/models.js';
import type { Registry } from '../../shared/registry.js';
import { type Call, type Calls, clientClosed } from '../call.js';
import { readIdempotencyKey } from './idempotency-key.js';
import type { ScoreRequest } from './json.js';
import { type Given, readDeadlineAt } from './parameters.js';
import { sendProblem } from './problem.js';

/**
 * Where a request goes on: at one of the two routes that score, at the router, or nowhere, since the gate
 * has answered it with a refusal.
 */
export type Entry = 'native' | 'reference' | 'router' | 'refused';

export interface Gate {
  /** Opens the request's call where it needs one, and says where the request goes on. */
  letIn(request: ScoreRequest, response: ServerResponse): Entry;
  /**
   * The call of a request to one of these models. It is opened here when the gate did not recognise the
   * address, which Express reads less strictly.
   * @throws ScorelineError `model_not_found` when there is none of them, `deadline_invalid`,
   * `idempotency_key_invalid`, `overloaded`, `shutting_down`
   */
  callOf(
    request: ScoreRequest & { query: Given },
    response: ServerResponse,
    models: readonly Model[],
  ): Call;
}

const referencePath = '/score';
const address = /^\/v1\/models\/([^/]+)\/(?:versions\/([^/]+)\/)?score$/;

export function makeGate(options: { registry: Registry; calls: Calls }): Gate {
  const { registry, calls } = options;
  const connections = new WeakMap<Socket, Set<Call>>();

  /** The models that a request may be for; none where the router answers. */
  const modelsFor = (path: string, query: Given): readonly Model[] => {
    const isReference = path === referencePath;
    if (isReference && query.model === undefined) return registry.models;
    const [, name, version] = isReference ? ['', String(query.model)] : (address.exec(path) ?? []);
    const found = registry.models.find(
      (model) => model.name === name && (version ?? model.version) === model.version,
    );
    return found ? [found] : [];
  };

  /**
   * The calls of a connection. They end when it closes, for which Node tells only the response
   * whose turn it is, and not those of requests that were sent after it.
   */
  const callsOn = (socket: Socket): Set<Call> => {
    const known = connections.get(socket);
    if (known) return known;
    const open = new Set<Call>();
    connections.set(socket, open);
    socket.once('close', () => {
      for (const call of open) call.abort(clientClosed());
    });
    return open;
  };

  const open = (
    request: ScoreRequest,
    response: ServerResponse,
    { models, query }: { models: readonly Model[]; query: Given },
  ): Call => {
    const arrivedAt = nowMs();
    // Models have different deadlines; until the model is known the longest counts.
    const deadlineMs = Math.max(...models.map(({ manifest }) => manifest.deadlineMs));
    const call = calls.open({
      models,
      arrivedAt,
      deadlineAt: readDeadlineAt(request, query, { deadlineMs, arrivedAt }),
      key: readIdempotencyKey(request),
    });
    request.call = call;
    const others = callsOn(request.socket);
    others.add(call);
    response.once('close', () => {
      others.delete(call);
      call.end(false);
    });
    return call;
  };

  return {
    letIn(request, response) {
      if (request.method !== 'POST') return 'router';
      const [path = '', text] = (request.url ?? '').split('?', 2);
      const query = Object.fromEntries(new URLSearchParams(text));
      const models = modelsFor(path, query);
      if (models.length === 0) return 'router';
      try {
        open(request, response, { models, query });
        return path === referencePath ? 'reference' : 'native';
      } catch (error) {
        if (!(error instanceof ScorelineError)) throw error;
        sendProblem(response, error);
        return 'refused';
      }
    },
    callOf(request, response, models) {
      if (models.length === 0) throw noModels();
      return request.call ?? open(request, response, { models, query: request.query });
    },
  };
}

function noModels(): ScorelineError {
  return new ScorelineError('model_not_found', 'No model is served here at the moment.');
}
