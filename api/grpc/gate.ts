// The gate of gRPC: finds out who sends a request, and opens a call for each request to infer, from its
// metadata and before its message is read. It refuses what the gate of HTTP refuses (api/http/gate/gate.ts).
//
// The model is named in the message. Until that is read, the call may be for any model of its caller.

import {
  type Metadata,
  ResponderBuilder,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
  ServerListenerBuilder,
} from '@grpc/grpc-js';
import type { Configurations } from '../../shared/configuration/configuration.js';
import { ScorelineError } from '../../shared/errors.js';
import type { Registry } from '../../shared/registry/registry.js';
import type { Access } from '../access/access.js';
import { catalogueOf, requireScope } from '../access/caller.js';
import { readFreshness } from '../cache/freshness.js';
import type { Call } from '../call/call.js';
import type { Calls } from '../call/calls.js';
import type { DepartedRequest, RequestEvents } from '../events.js';
import type { UntakenAnswers } from '../http/connection/untaken-answers.js';
import { httpsRequired } from '../http/gate/entrance.js';
import { noModels } from '../http/gate/gate.js';
import { parseIdempotencyKey } from '../http/parameters/idempotency-key.js';
import { parsePriority, priorityHeader } from '../http/parameters/priority.js';
import { Arrival, countBytes, limitBytes, streamOf } from './arrival.js';
import type { Message } from './message.js';
import { type MethodName, methodNames, pathOf } from './protocol.js';
import { statusCodeOf, statusOf, toScorelineError } from './status.js';

/** Open to all: they say whether the service works, and nothing else. */
const openMethods: ReadonlySet<MethodName> = new Set(['ServerLive', 'ServerReady']);

export interface Gate {
  readonly interceptor: ServerInterceptor;
  /** Returns the arrival that the metadata of a request belong to. */
  arrivalOf(metadata: Metadata): Arrival;
}

export interface GateOptions {
  readonly configuration: Pick<
    Configurations['api'],
    'BODY_BYTES_MAX' | 'HTTPS_ONLY' | 'REQUEST_MS_MAX'
  >;
  readonly registry: Registry;
  readonly calls: Pick<Calls, 'open'>;
  readonly access: Omit<Access, 'close'>;
  /** Whether a proxy is believed that says how its client came. */
  readonly isTrusted: (address: string) => boolean;
  /** Is told of each request. */
  readonly events: RequestEvents;
  readonly untaken: Pick<UntakenAnswers, 'noteStream'>;
}

export function makeGate(options: GateOptions): Gate {
  const arrivals = new WeakMap<Metadata, Arrival>();

  const interceptor: ServerInterceptor = ({ path }, intercepted) => {
    const method = methodNames.find((name) => pathOf(name) === path) as MethodName;
    let arrival: Arrival | undefined;
    let counting: ReturnType<typeof countBytes> | undefined;

    const refuse = (thrown: unknown) => {
      if (!arrival) return;
      const at = arrival;
      const error = toScorelineError(thrown);
      at.failure = error;
      const send = () => intercepted.sendStatus(statusOf(error, at.makeMetadata()));
      const delayMs = options.access.delayMs(error.code, at.caller);
      if (delayMs > 0) setTimeout(send, delayMs);
      else send();
    };

    const listener = new ServerListenerBuilder()
      .withOnReceiveMetadata((metadata, next) => {
        const entering = new Arrival(method, metadata);
        arrival = entering;
        arrivals.set(metadata, entering);
        entering.trace = options.events.arrived(arrivedOf(entering));
        letIn(entering, intercepted, options).then(() => {
          if (entering.hasDeparted) return;
          expectMessage(entering, refuse, options.configuration.REQUEST_MS_MAX);
          const { call } = entering;
          const bytesMax = options.configuration.BODY_BYTES_MAX;
          if (call) counting = countBytes({ intercepted, refuse }, { call, bytesMax });
          else limitBytes({ intercepted, refuse });
          next(metadata);
        }, refuse);
      })
      .withOnReceiveMessage((message: Message, next) => {
        try {
          counting?.settle(message.length);
          next(message);
        } catch (error) {
          refuse(error);
        }
      })
      .withOnCancel(() => {
        if (arrival && !arrival.hasDeparted) options.events.departed(departedOf(arrival));
        arrival?.depart();
      })
      .build();
    const responder = new ResponderBuilder()
      .withStart((next) => next(listener))
      .withSendMessage((message: Buffer, next) => {
        next(message);
        options.untaken.noteStream(streamOf(intercepted), message.length);
      })
      .build();
    return new ServerInterceptingCall(intercepted, responder);
  };

  return {
    interceptor,
    arrivalOf(metadata) {
      const arrival = arrivals.get(metadata);
      if (!arrival) throw new Error('The gate sees each request first. This is a bug.');
      return arrival;
    },
  };
}

function arrivedOf({ method, arrivedAt, context }: Arrival) {
  return { method, isGrpc: true, isProbe: () => openMethods.has(method), arrivedAt, context };
}

function departedOf(arrival: Arrival): DepartedRequest {
  const { method, call, failure, isAnswered, caller, trace, requestId } = arrival;
  const route = method === 'ModelInfer' ? 'grpc' : openMethods.has(method) ? 'health' : 'other';
  return {
    ...arrivedOf(arrival),
    route,
    path: () => pathOf(method),
    pattern: undefined,
    status: failure ? statusCodeOf(failure.code) : isAnswered ? 0 : undefined,
    code: failure?.code ?? (isAnswered ? 'ok' : 'client_closed'),
    requestId: () => requestId,
    models: undefined,
    ...{ caller, call, failure, trace },
  };
}

/** Finds the caller of a request, and takes what the request needs. */
async function letIn(
  arrival: Arrival,
  intercepted: ServerInterceptingCallInterface,
  options: GateOptions,
): Promise<void> {
  const { access, configuration } = options;
  const deadlineMs = Number(intercepted.getDeadline()) - Date.now();
  if (openMethods.has(arrival.method)) return;
  if (configuration.HTTPS_ONLY && !cameByHttps(arrival, intercepted, options)) {
    throw httpsRequired();
  }
  const headers = {
    authorization: arrival.read('authorization'),
    'x-api-key': arrival.read('x-api-key'),
  };
  const caller = await access.identify(headers);
  if (arrival.hasDeparted) return;
  arrival.caller = caller;
  try {
    arrival.slot = caller.limits && (await access.limits.admit(caller));
  } finally {
    if (caller.limits) arrival.limitFields = access.limits.fieldsOf(caller);
  }
  if (arrival.hasDeparted) return arrival.slot?.release();
  if (arrival.method === 'ModelInfer') arrival.call = openCall(arrival, deadlineMs, options);
  else requireScope(caller, 'score', 'jobs');
}

/**
 * @throws ScorelineError `scope_missing`, `idempotency_key_invalid`, `parameter_invalid`, `overloaded`,
 * `shutting_down`
 */
function openCall(arrival: Arrival, deadlineMs: number, { calls, registry }: GateOptions): Call {
  const { caller, slot, arrivedAt, trace } = arrival;
  requireScope(caller, 'score');
  const { models } = catalogueOf(caller, registry);
  if (models.length === 0) throw noModels();
  const longestMs = Math.max(...models.map(({ manifest }) => manifest.deadlineMs));
  const key = arrival.read('idempotency-key');
  return calls.open({
    caller,
    slot,
    models,
    arrivedAt,
    deadlineAt: arrivedAt + Math.max(0, Math.min(longestMs, deadlineMs)),
    // Node joins fields of one name with this comma, so a key must not have one itself.
    key: key === undefined ? undefined : parseIdempotencyKey(key, key.split(', ').length),
    trace,
    freshness: readFreshness(arrival.read('cache-control')),
    priority: parsePriority(arrival.read(priorityHeader), priorityHeader),
  });
}

/** Refuses a request whose message does not come. */
function expectMessage(arrival: Arrival, refuse: (error: unknown) => void, withinMs: number): void {
  const { call } = arrival;
  const timer = setTimeout(() => {
    refuse(
      new ScorelineError(
        'request_timeout',
        `Expected the whole request within ${withinMs} ms; it took longer.`,
      ),
    );
  }, withinMs);
  const stopListening = call?.ending.onEnd(() => {
    if (!arrival.isBegun) refuse(call.ending.reason);
  });
  arrival.onBegin(() => {
    clearTimeout(timer);
    stopListening?.();
  });
}

function cameByHttps(
  arrival: Arrival,
  intercepted: ServerInterceptingCallInterface,
  { isTrusted }: GateOptions,
): boolean {
  const { remoteAddress = '' } = intercepted.getConnectionInfo();
  return isTrusted(remoteAddress) && arrival.read('x-forwarded-proto') === 'https';
}
