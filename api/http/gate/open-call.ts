// Opens the call of a scoring request, before its body is read.

import type { ServerResponse } from 'node:http';
import type { Model } from '../../../shared/registry/models.js';
import type { Registry } from '../../../shared/registry/registry.js';
import { type Caller, catalogueOf, requireScope } from '../../access/caller.js';
import type { Slot } from '../../access/limiter.js';
import { readFreshness } from '../../cache/freshness.js';
import type { Call } from '../../call/call.js';
import type { Calls } from '../../call/calls.js';
import type { DeferralOptions } from '../../call/deferral.js';
import { chosen, type ReadHeader, routeToAny } from '../../routing.js';
import type { CheckWebhookUrl } from '../../webhooks/allow-list.js';
import { sendsLines } from '../body/lines.js';
import { onDeparture } from '../connection/departure.js';
import { readIdempotencyKey } from '../parameters/idempotency-key.js';
import { refuseOther } from '../parameters/model-name.js';
import { type Given, readDeadlineAt } from '../parameters/parameters.js';
import { readPreferences } from '../parameters/preferences.js';
import { readPriority } from '../parameters/priority.js';
import { readWebhookUrl } from '../parameters/webhook-url.js';
import { predictAddress } from '../paths.js';
import type { GatedRequest } from './gated-request.js';

const referencePath = '/score';
const address =
  /^\/(?:v1\/models\/([^/]+)\/(?:versions\/([^/]+)\/)?score|v2\/models\/([^/]+)\/(?:versions\/([^/]+)\/)?infer)$/;

/** The routes that score. */
export type ScoringRoute = 'native' | 'reference' | 'inference' | 'predict';

/** Whether requests to a path score, if there is the model that it names. */
export function mayScore(path: string): boolean {
  return path === referencePath || address.test(path) || predictAddress.test(path);
}

/** Returns the route of a path at which `modelsAt` has found models. */
export function routeOf(path: string): ScoringRoute {
  if (path === referencePath) return 'reference';
  if (predictAddress.test(path)) return 'predict';
  return path.startsWith('/v2/') ? 'inference' : 'native';
}

/** Makes a function that reads the headers of a request; those of one name are joined. */
export function headersOf({ headers }: Pick<GatedRequest, 'headers'>): ReadHeader {
  return (name) => headers[name]?.toString();
}

/** What is known of a request when its call is opened. */
export interface Opening {
  readonly caller: Caller;
  /** Taken over by the call. */
  readonly slot?: Slot | undefined;
  readonly models: readonly Model[];
  readonly query: Given;
  /** Milliseconds since the epoch. */
  readonly arrivedAt: number;
}

/** Returns the models that a caller's request may be for; none if the path or its model is unknown. */
export function modelsAt(
  path: string,
  query: Given,
  { caller, registry, read }: { caller: Caller; registry: Registry; read: ReadHeader },
): readonly Model[] {
  const catalogue = catalogueOf(caller, registry);
  const isReference = path === referencePath;
  if (isReference && query.model === undefined) return routeToAny(catalogue, read);
  const found = address.exec(path) ?? predictAddress.exec(path) ?? [];
  const [, ...names] = isReference ? ['', String(query.model)] : found;
  const name = names[0] ?? names[2];
  const version = names[1] ?? names[3];
  const { models, latest } = catalogue;
  const model = (version === undefined ? latest : models).find(
    (each) => each.name === name && (version ?? each.version) === each.version,
  );
  if (!model) return [];
  return [version === undefined ? chosen(catalogue, model, read) : model];
}

/**
 * Opens a call, which ends at the latest when its request departs.
 * @throws ScorelineError `scope_missing`, `deadline_invalid`, `idempotency_key_invalid`, `preference_invalid`,
 * `parameter_invalid`, `webhook_invalid`, `webhook_not_allowed`, `overloaded`, `shutting_down`
 */
export function openCall(
  { calls, checkWebhookUrl }: { calls: Pick<Calls, 'open'>; checkWebhookUrl: CheckWebhookUrl },
  { request, response }: { request: GatedRequest; response: ServerResponse },
  { caller, slot, models, query, arrivedAt }: Opening,
): Call {
  request.models = models;
  const [model, another] = models;
  if (model && !another) refuseOther(query, model);
  const deferral = readDeferral(request, { models, query, arrivedAt, checkWebhookUrl });
  requireScope(caller, 'score', ...(deferral ? (['jobs'] as const) : []));
  // Models have different deadlines. Until the model is known, the longest one counts.
  const deadlineMs = Math.max(...models.map(({ manifest }) => manifest.deadlineMs));
  const call = calls.open({
    caller,
    slot,
    models,
    arrivedAt,
    deadlineAt: readDeadlineAt(request, query, { deadlineMs, arrivedAt }),
    key: readIdempotencyKey(request),
    deferral,
    priority: readPriority(request, query),
    freshness: readFreshness(request.headers['cache-control']),
    isStream: sendsLines(request),
    trace: request.trace,
  });
  request.call = call;
  onDeparture(response, () => call.depart());
  return call;
}

/** Returns undefined if the client takes no later answer. */
function readDeferral(
  request: GatedRequest,
  options: Pick<Opening, 'models' | 'query' | 'arrivedAt'> & { checkWebhookUrl: CheckWebhookUrl },
): DeferralOptions | undefined {
  const { models, query, arrivedAt, checkWebhookUrl } = options;
  const preferences = readPreferences(request, query);
  const webhook = readWebhookUrl(request, preferences, checkWebhookUrl);
  if (!preferences) return undefined;
  const deadlineMs = Math.max(...models.map(({ manifest }) => manifest.jobs.deadlineMs));
  const jobDeadlineAt = readDeadlineAt(request, query, { deadlineMs, arrivedAt });
  return { ...preferences, jobDeadlineAt, webhook };
}
