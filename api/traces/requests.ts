// The traces of requests. The span of a request begins when it arrives and ends when it departs; what lies in
// between is added then, from what the call knows.
//
// A request whose trace was left out may fail or be slow. Then its own span is sent after all, alone, since no
// other part of its trace was kept. Such spans are limited, because under overload most requests are slow.

import { makeBudget } from '../../shared/budget.js';
import { nowMs } from '../../shared/clock.js';
import { errorTable } from '../../shared/errors.js';
import type { Attributes, SpanName } from '../../shared/telemetry/attributes.js';
import type { Span, SpanStart, Tracer } from '../../shared/telemetry/telemetry.js';
import type { Call } from '../call/call.js';
import type { ArrivedRequest, DepartedRequest, RequestTraces } from '../events.js';
import { RequestTrace } from './request-trace.js';

/** The most spans a second that are sent though their traces were left out. */
const keptPerSecondMax = 10;
const grpcService = 'inference.GRPCInferenceService';

export function makeRequestTraces(
  tracer: Tracer,
  { slowMs }: { slowMs: number | undefined },
): RequestTraces {
  const budget = makeBudget(keptPerSecondMax);

  const keep = (request: DepartedRequest, now: number): RequestTrace | undefined => {
    const reason = tracer.keepsFailures ? whyKept(request, now, slowMs) : undefined;
    if (!reason || budget.take(now) === undefined) return undefined;
    const span = tracer.start(startOf(request), request.context);
    span.set({ 'scoreline.kept_for': reason });
    return new RequestTrace(tracer, span);
  };

  return {
    arrived(request) {
      if (!tracer.samples(request.context) || request.isProbe()) return undefined;
      return new RequestTrace(tracer, tracer.begin(startOf(request), request.context));
    },
    departed(request) {
      const now = nowMs();
      const trace = request.trace ?? keep(request, now);
      if (!trace) return undefined;
      const { span } = trace;
      if (request.trace && request.call) addPreparation(tracer, span, request.call, now);
      describe(span, request);
      markFailure(span, request, now);
      span.end(now);
      return trace;
    },
  };
}

function startOf({ method, isGrpc, arrivedAt: startAt }: ArrivedRequest): SpanStart {
  if (!isGrpc) return { name: httpNameOf(method), startAt };
  return { name: 'rpc', of: `${grpcService}/${method}`, startAt };
}

const httpNames = ['GET', 'POST', 'DELETE'] as const;

function httpNameOf(method: string): SpanName {
  return httpNames.find((name) => name === method) ?? 'HTTP';
}

function whyKept(
  request: DepartedRequest,
  now: number,
  slowMs: number | undefined,
): 'error' | 'slow' | undefined {
  const { code, call } = request;
  // A client's mistake says nothing about the service, and anyone can make as many as they like.
  if (code === 'not_ready' || request.isProbe()) return undefined;
  if (code !== 'ok') return errorTable[code].status >= 429 ? 'error' : undefined;
  if (!call || call.deferral) return undefined;
  const slowFromMs = slowMs ?? (call.deadlineAt - call.arrivedAt) / 2;
  return now - call.arrivedAt >= slowFromMs ? 'slow' : undefined;
}

/** The phases follow each other, so the inputs were prepared right before the call began to wait. */
function addPreparation(tracer: Tracer, span: Span, call: Call, now: number): void {
  const startAt = call.preparingSince;
  if (startAt === undefined) return;
  const endAt = call.preparingMs === undefined ? now : startAt + call.preparingMs;
  tracer.start({ name: 'prepare', startAt }, span.context).end(endAt);
}

function describe(span: Span, request: DepartedRequest): void {
  const { method, isGrpc, pattern, path, status, caller, requestId, call, failure } = request;
  const common: Attributes = { 'scoreline.request.id': requestId() };
  if (caller) common['scoreline.caller.id'] = caller.id;
  if (failure?.reason) common['scoreline.refusal.reason'] = failure.reason;
  if (isGrpc) {
    span.set({ 'rpc.system': 'grpc', 'rpc.service': grpcService, 'rpc.method': method });
    if (status !== undefined) common['rpc.grpc.status_code'] = status;
  } else {
    const name = httpNameOf(method);
    if (pattern) span.rename(pattern);
    span.set({
      'http.request.method': name === 'HTTP' ? '_OTHER' : name,
      'url.path': path(),
      'url.scheme': 'http',
    });
    if (name === 'HTTP') common['http.request.method_original'] = method;
    if (pattern) common['http.route'] = pattern;
    if (status !== undefined) common['http.response.status_code'] = status;
  }
  span.set(common);
  if (call) span.set(attributesOf(call));
}

function attributesOf(call: Call): Attributes {
  const { models, inputs, arrivedAt, deadlineAt, isReplayed, deferral, timing } = call;
  const attributes: Attributes = {
    'scoreline.inputs': inputs,
    'scoreline.deadline_ms': Math.round(deadlineAt - arrivedAt),
  };
  const [model, ...others] = models;
  if (model && others.length === 0) {
    attributes['scoreline.model.name'] = model.name;
    attributes['scoreline.model.version'] = model.version;
  }
  if (isReplayed) attributes['scoreline.replayed'] = true;
  if (deferral) attributes['scoreline.deferred'] = true;
  if (timing && !isReplayed) {
    attributes['scoreline.queue_ms'] = timing.queueMs;
    attributes['scoreline.batch_ms'] = timing.batchMs;
    attributes['scoreline.compute_ms'] = timing.computeMs;
    attributes['scoreline.batch.rows'] = timing.batchSize;
  }
  return attributes;
}

/** A client's mistake is no failure of the server, as the conventions of HTTP have it. */
function markFailure(span: Span, { code, failure }: DepartedRequest, now: number): void {
  if (code === 'ok' || code === 'not_ready') return;
  if (code === 'client_closed') span.addEvent('cancelled', now);
  if (code === 'deadline_exceeded') span.addEvent('deadline_exceeded', now);
  const { status, title } = errorTable[code];
  if (status >= 500) span.fail(code, failure ? title : undefined);
  else span.set({ 'error.type': code });
}
