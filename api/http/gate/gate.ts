// The gate: finds out who sends a request, and opens a call for each scoring request, before Express sees
// it and before its body is read. It refuses unknown callers, callers over a limit, and requests for which
// there is no room. Under overload most requests are refused, and the router and the parsers would cost more
// than the rest of a refusal.
//
// Express gets all other requests, and those whose address the gate does not recognise. A route there
// finds the caller on the request.

import type { ServerResponse } from 'node:http';
import { parse } from 'node:querystring';
import { nowMs } from '../../../shared/clock.js';
import { errorTable, ScorelineError } from '../../../shared/errors.js';
import { findModel, type Model } from '../../../shared/registry/models.js';
import type { Registry } from '../../../shared/registry/registry.js';
import type { Access } from '../../access/access.js';
import { type Caller, catalogueOf, nobody, requireScope } from '../../access/caller.js';
import { withPassword } from '../../access/credential.js';
import type { Slot } from '../../access/limiter.js';
import type { Call } from '../../call/call.js';
import type { Calls } from '../../call/calls.js';
import type { CheckWebhookUrl } from '../../webhooks/allow-list.js';
import { sendProblem } from '../answers/problem.js';
import { isGone, onDeparture } from '../connection/departure.js';
import type { Given } from '../parameters/parameters.js';
import { describingPaths, isForOperators, isForStrangers, openPaths } from '../paths.js';
import type { GatedRequest } from './gated-request.js';
import { headersOf, modelsAt, openCall, routeOf, type ScoringRoute } from './open-call.js';

/**
 * Where a request goes on: at one of the routes that score, at the router, or nowhere because the
 * gate has answered it with a refusal or its client is gone.
 */
export type Entry = ScoringRoute | 'router' | 'refused';

export interface Gate {
  /**
   * Finds out who sends the request, opens a call if the request needs one, and says where it goes on: at
   * once, unless the issuer of a token or Redis has to be asked about the caller.
   */
  letIn(request: GatedRequest, response: ServerResponse): Entry | Promise<Entry>;
  /**
   * Returns the call of a request to one of these models. Opens it if `letIn` did not recognise the
   * address, because Express matches addresses less strictly.
   * @throws ScorelineError `scope_missing`; `model_not_found` when `models` is empty; `deadline_invalid`,
   * `idempotency_key_invalid`, `overloaded`, `shutting_down`
   */
  callOf(
    request: GatedRequest & { query: Given },
    response: ServerResponse,
    models: readonly Model[],
  ): Call;
  /**
   * Checks once more who sends a request that goes on for long, and whether the model still exists for the caller,
   * since keys are revoked or changed and tokens end meanwhile.
   * @throws ScorelineError `scope_missing`, `model_not_found`, `token_invalid`, or what is wrong with the key
   */
  checkAgain(request: GatedRequest, model: Pick<Model, 'name'>): Promise<void>;
}

interface Arrival {
  readonly request: GatedRequest;
  readonly response: ServerResponse;
  readonly path: string;
  readonly query: string | undefined;
  /** Milliseconds since the epoch. */
  readonly arrivedAt: number;
}

export function makeGate(options: {
  registry: Registry;
  calls: Calls;
  access: Omit<Access, 'close'>;
  checkWebhookUrl: CheckWebhookUrl;
}): Gate {
  const { registry, calls, access, checkWebhookUrl } = options;

  /** Finds the models that a request may be for; none if it does not score. */
  const aimOf = ({ request, path, query: text }: Arrival, caller: Caller) => {
    if (request.method !== 'POST') return { models: [], query: {} };
    const query = text ? parse(text) : {};
    return { query, models: modelsAt(path, query, { caller, registry, read: headersOf(request) }) };
  };

  /** Refuses a request by its caller's limits. It counts among those for its model. */
  const limit = (arrival: Arrival, caller: Caller, refusal: unknown): never => {
    const { models } = aimOf(arrival, caller);
    if (models.length > 0) arrival.request.models = models;
    throw refusal;
  };

  /** Lets a caller in whose slot, if there are limits, is taken. */
  const enter = (arrival: Arrival, caller: Caller, slot?: Slot): Entry => {
    const { request, response, path, arrivedAt } = arrival;
    const toRouter = (): Entry => {
      if (slot) {
        request.slot = slot;
        onDeparture(response, () => request.slot?.release());
      }
      const fields = Object.entries(request.limitFields ?? {});
      for (const [name, value] of fields) response.setHeader(name, value);
      return 'router';
    };
    const { models, query } = aimOf(arrival, caller);
    if (models.length === 0) return toRouter();
    try {
      openCall({ calls, checkWebhookUrl }, arrival, { caller, slot, models, query, arrivedAt });
      return routeOf(path);
    } catch (error) {
      slot?.release();
      throw error;
    }
  };

  const enterLate = async (
    arrival: Arrival,
    caller: Caller,
    deciding: Promise<Slot>,
  ): Promise<Entry> => {
    const slot = await deciding
      .catch((refusal) => limit(arrival, caller, refusal))
      .finally(() => {
        arrival.request.limitFields = access.limits.fieldsOf(caller);
      });
    if (!isGone(arrival.response)) return enter(arrival, caller, slot);
    slot.release();
    return 'refused';
  };

  const admit = (arrival: Arrival, caller: Caller): Entry | Promise<Entry> => {
    arrival.request.caller = caller;
    if (!caller.limits) return enter(arrival, caller);
    let slot: Slot | undefined | Promise<Slot>;
    try {
      slot = access.limits.admit(caller);
    } catch (refusal) {
      return limit(arrival, caller, refusal);
    } finally {
      arrival.request.limitFields = access.limits.fieldsOf(caller);
    }
    if (slot instanceof Promise) return enterLate(arrival, caller, slot);
    return enter(arrival, caller, slot);
  };

  const admitLate = async (arrival: Arrival, pending: Promise<Caller>): Promise<Entry> => {
    const caller = await pending;
    return isGone(arrival.response) ? 'refused' : admit(arrival, caller);
  };

  const refuse = ({ request, response }: Arrival, error: unknown): Entry => {
    if (!(error instanceof ScorelineError)) throw error;
    const send = () => {
      if (!isGone(response)) sendProblem(response, error);
    };
    const delayMs = access.delayMs(error.code, request.caller);
    if (delayMs > 0) setTimeout(send, delayMs);
    else send();
    return 'refused';
  };

  return {
    letIn(request, response) {
      const [path = '', query] = (request.url ?? '').split('?', 2);
      if (
        openPaths.has(path) ||
        isForStrangers(path) ||
        (describingPaths.has(path) && access.isStranger(request.headers))
      ) {
        request.caller = nobody;
        return 'router';
      }
      const arrival = { request, response, path, query, arrivedAt: nowMs() };
      try {
        const { headers } = request;
        const shown = isForOperators(path) ? withPassword(headers) : headers;
        const caller = access.identify(shown);
        const entry =
          caller instanceof Promise ? admitLate(arrival, caller) : admit(arrival, caller);
        return entry instanceof Promise ? entry.catch((error) => refuse(arrival, error)) : entry;
      } catch (error) {
        return refuse(arrival, error);
      }
    },
    callOf(request, response, models) {
      if (request.call) return request.call;
      if (models.length === 0) throw noModels();
      const { slot, query } = request;
      const opening = { caller: callerOf(request), slot, models, query, arrivedAt: nowMs() };
      const call = openCall({ calls, checkWebhookUrl }, { request, response }, opening);
      // The call has it now.
      request.slot = undefined;
      return call;
    },
    async checkAgain({ headers }, { name }) {
      try {
        const caller = await access.identify(headers);
        requireScope(caller, 'score');
        if (caller.models?.includes(name) === false) {
          findModel(catalogueOf(caller, registry).models, name);
        }
      } catch (error) {
        if (isRefusal(error)) throw error;
      }
    },
  };
}

/** Whether an error is about the caller. While the issuer is away, whoever was let in may go on. */
function isRefusal(error: unknown): boolean {
  return (
    !(error instanceof ScorelineError) || [401, 403, 404].includes(errorTable[error.code].status)
  );
}

/** Returns who sends a request that the gate has let in. */
export function callerOf({ caller }: GatedRequest): Caller {
  if (caller) return caller;
  throw new Error('The gate finds the caller of each request. This is a bug.');
}

export function noModels(): ScorelineError {
  return new ScorelineError('model_not_found', 'No model is served here at the moment.');
}
