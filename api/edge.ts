// The edge of the API: what clients reach by HTTP and by gRPC, in front of the calls and of scoring.

import type { Configurations } from '../shared/configuration/configuration.js';
import { packageVersion } from '../shared/version.js';
import type { Access } from './access/access.js';
import type { Calls } from './call/calls.js';
import type { RunningGrpcServer, startGrpcServer } from './grpc/server.js';
import { type EventStreams, makeEventStreams } from './http/answers/event-streams.js';
import { type App, makeApp } from './http/app.js';
import { type RunningServer, startServer } from './http/connection/server.js';
import { UntakenAnswers } from './http/connection/untaken-answers.js';
import { makeGate } from './http/gate/gate.js';
import { makeDescription } from './inference/description.js';
import { rowsMaxOf } from './inference/rows.js';
import { makeReadiness } from './readiness.js';
import { makeSeveralInputs } from './several-inputs/several-inputs.js';
import type { Statistics } from './statistics.js';
import type { MayRest } from './versions/at-rest.js';
import { makeCheckWebhookUrl } from './webhooks/allow-list.js';

/** What the edge makes itself of the application's parts. */
type Own =
  | 'gate'
  | 'severalInputs'
  | 'eventStreams'
  | 'readiness'
  | 'description'
  | 'rowsMax'
  | 'signIn';

export interface EdgeParts extends Omit<Parameters<typeof makeApp>[0], Own> {
  readonly calls: Calls;
  readonly access: Omit<Access, 'close'>;
  readonly statistics: Statistics;
  readonly mayRest: MayRest;
}

export interface Edge {
  readonly http: RunningServer;
  /** Undefined if there is no port for it. */
  readonly grpc: RunningGrpcServer | undefined;
  readonly express: App['express'];
  readonly eventStreams: EventStreams;
  readonly untaken: UntakenAnswers;
  /** Tells clients to go elsewhere. Requests are still answered. */
  leave(): void;
  /** Ends the streams of events, waits for requests until the time is over, and ends those that are left. */
  close(withinMs: number): Promise<void>;
}

/** @throws ScorelineError `configuration_invalid` when a port cannot be used */
export async function openEdge(parts: EdgeParts): Promise<Edge> {
  const { configuration, registry, calls, access, scoring, queue, rollout } = parts;
  const { statistics, mayRest, events } = parts;
  const severalInputs = makeSeveralInputs({
    ...{ calls, scoring, limits: access.limits },
    inFlightMax: configuration.INPUTS_IN_FLIGHT_MAX,
  });
  const checkWebhookUrl = makeCheckWebhookUrl(configuration.WEBHOOK_HOSTS);
  const eventStreams = makeEventStreams({
    streamsMax: configuration.EVENT_STREAMS_MAX,
    callerStreamsMax: configuration.CALLER_EVENT_STREAMS_MAX,
    access,
  });
  const readiness = makeReadiness({ queue, registry, calls, mayRest });
  const rowsMax = rowsMaxOf(configuration);
  const version = packageVersion();
  const protocol = {
    readiness,
    rowsMax,
    description: makeDescription({ registry, rollout, readiness, statistics, rowsMax, version }),
  };
  const app = makeApp({
    ...parts,
    ...protocol,
    ...{ severalInputs, eventStreams },
    gate: makeGate({ registry, calls, access, checkWebhookUrl }),
    signIn: access.signIn,
  });
  const untaken = new UntakenAnswers({
    bytesMax: configuration.ANSWERS_BYTES_MAX,
    stallMsMax: configuration.REQUEST_MS_MAX,
    log: parts.log,
  });
  const http = await startServer(app, configuration, untaken, parts.log);
  const { isTrusted } = app;
  const grpc = await startGrpc(
    {
      ...protocol,
      ...{ registry, calls, access, scoring, events, isTrusted, untaken },
      log: parts.log,
    },
    configuration,
  );
  return {
    ...{ http, grpc, express: app.express, eventStreams, untaken },
    leave() {
      http.leave();
      grpc?.leave();
    },
    async close(withinMs) {
      eventStreams.close();
      const end = () => calls.abortAll();
      await Promise.all([http, grpc].map((server) => server?.close(withinMs, end)));
    },
  };
}

/** Starts gRPC, if there is a port for it. Only then is its library loaded. */
async function startGrpc(
  parts: Parameters<typeof startGrpcServer>[0],
  configuration: Configurations['api'],
): Promise<RunningGrpcServer | undefined> {
  const { GRPC_PORT } = configuration;
  if (GRPC_PORT === undefined) return undefined;
  return (await import('./grpc/server.js')).startGrpcServer(parts, configuration, GRPC_PORT);
}
