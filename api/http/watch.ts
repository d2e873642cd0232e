// Tells listeners of each request by HTTP: when it arrives, and when it departs, so its client never waits for
// them. If they only want to know of failures, a good request costs nothing.

import type { ServerResponse } from 'node:http';
import { nowMs } from '../../shared/clock.js';
import type { TraceContext } from '../../shared/telemetry/telemetry.js';
import type { DepartedRequest, RequestEvents } from '../events.js';
import { isGone, onDeparture } from './connection/departure.js';
import type { GatedRequest } from './gate/gated-request.js';
import { mayScore, routeOf } from './gate/open-call.js';
import { loggedPath } from './logged-path.js';
import { openPaths, pathOf } from './paths.js';
import { requestIdOf } from './request-id.js';

export function watchRequest(
  request: GatedRequest,
  response: ServerResponse,
  events: RequestEvents,
): void {
  const arrivedAt = nowMs();
  if (!events.watchesAll) {
    request.reportFailure = () => {
      const report = makeReport(request, response, { events, arrivedAt });
      if (isGone(response)) report();
      else onDeparture(response, report);
    };
    return;
  }
  const { method = '' } = request;
  const context = contextOf(request);
  const isProbe = () => openPaths.has(pathOf(request));
  request.trace = events.arrived({ method, isGrpc: false, isProbe, arrivedAt, context });
  onDeparture(response, makeReport(request, response, { events, arrivedAt }));
}

function makeReport(
  request: GatedRequest,
  response: ServerResponse,
  { events, arrivedAt }: { events: RequestEvents; arrivedAt: number },
): () => void {
  return () => {
    events.departed(departed(request, response, arrivedAt));
    // Node keeps a request until the next one of its connection, and the cause of a failure can hold the body.
    request.failure = undefined;
  };
}

function departed(
  request: GatedRequest,
  response: ServerResponse,
  arrivedAt: number,
): DepartedRequest {
  const { method = '', caller, call, models, failure, trace } = request;
  return {
    method,
    isGrpc: false,
    isProbe: () => openPaths.has(pathOf(request)),
    arrivedAt,
    context: contextOf(request),
    route: labelOf(request),
    path: () => loggedPath(request),
    pattern: isScoring(request) ? patternOf(pathOf(request)) : undefined,
    status: response.headersSent ? response.statusCode : undefined,
    code: codeOf(request, response),
    requestId: () => requestIdOf(request),
    ...{ caller, call, models, failure, trace },
  };
}

function contextOf({ headers }: GatedRequest): TraceContext | undefined {
  const { traceparent, tracestate } = headers;
  if (typeof traceparent !== 'string') return undefined;
  return { traceparent, tracestate: typeof tracestate === 'string' ? tracestate : undefined };
}

/** Whether a request is for a model that is served, or for one that cannot be. */
function isScoring(request: GatedRequest): boolean {
  const { method, models, failure } = request;
  if (models) return true;
  return method === 'POST' && failure?.unservedModel !== undefined && mayScore(pathOf(request));
}

function labelOf(request: GatedRequest): string {
  const path = pathOf(request);
  if (isScoring(request)) return routeOf(path);
  return openPaths.has(path) ? 'health' : 'other';
}

function patternOf(path: string): string {
  const route = routeOf(path);
  if (route === 'reference') return '/score';
  const version = path.includes('/versions/') ? '/versions/{version}' : '';
  if (route === 'predict') return `/v1/models/{model}${version}:predict`;
  return route === 'inference'
    ? `/v2/models/{model}${version}/infer`
    : `/v1/models/{model}${version}/score`;
}

function codeOf(
  { failure, call }: GatedRequest,
  response: ServerResponse,
): DepartedRequest['code'] {
  if (failure) return failure.code;
  if (!response.writableFinished && (call || !response.headersSent)) return 'client_closed';
  return response.statusCode === 503 ? 'not_ready' : 'ok';
}
