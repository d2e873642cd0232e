// The gate: opens a call for each scoring request before Express sees it and before its body is read.
// If there is no room, the gate refuses the request. Under overload the API mostly refuses, and the
// router and the parsers would take longer than everything else about a refusal.
//
// Express gets all other requests, and those whose address the gate does not recognise.

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
 * Where a request goes on: at one of the two routes that score, at the router, or nowhere because the
 * gate has answered it with a refusal.
 */
export type Entry = 'native' | 'reference' | 'router' | 'refused';

export interface Gate {
  /** Opens a call if the request needs one, and says where the request goes on. */
  letIn(request: ScoreRequest, response: ServerResponse): Entry;
  /**
   * Returns the call of a request to one of these models. Opens it if `letIn` did not recognise the
   * address, because Express matches addresses less strictly.
   * @throws ScorelineError `model_not_found` when `models` is empty; `deadline_invalid`,
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

  /** Returns the models that a request may be for; none if the router should answer. */
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
   * Returns the open calls of a connection, and ends them when it closes. Node emits `close` only on the
   * response whose turn it is, not on those of pipelined requests behind it.
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
    // Models have different deadlines. Until the model is known, the longest one counts.
    const deadlineMs = Math.max(...models.map(({ manifest }) => manifest.deadlineMs));
    const call = calls.open({
      models,
      arrivedAt,
      deadlineAt: readDeadlineAt(request, query, { deadlineMs, arrivedAt }),
      key: readIdempotencyKey(request),
    });
    request.call = call;
    const openCalls = callsOn(request.socket);
    openCalls.add(call);
    response.once('close', () => {
      openCalls.delete(call);
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
