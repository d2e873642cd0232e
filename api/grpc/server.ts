// The gRPC server: its limits, its methods and its shutdown. It speaks plain HTTP/2; a proxy before it ends
// TLS, as for HTTP.

import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type handleUnaryCall, Server, ServerCredentials } from '@grpc/grpc-js';
import type { Configurations } from '../../shared/configuration/configuration.js';
import { limitConnections } from '../../shared/process/connections.js';
import { listen } from '../../shared/process/listen.js';
import type { Logger } from '../../shared/process/log.js';
import type { Access } from '../access/access.js';
import type { Calls } from '../call/calls.js';
import { closeWithin, finalAnswerMs } from '../closing.js';
import { type AnswerOptions, makeAnswer } from './answers.js';
import { type GateOptions, makeGate } from './gate.js';
import { Message } from './message.js';
import { methodNames, pathOf } from './protocol.js';
import { statusOf, toScorelineError } from './status.js';

/** How often a connection is asked whether it still lives, and how long it may take to say so. */
const pingEveryMs = 60_000;
const pongMsMax = 20_000;

export interface RunningGrpcServer {
  readonly port: number;
  /** Asks the clients of all connections to connect elsewhere. */
  leave(): void;
  /** As `close` of the HTTP server. */
  close(withinMs: number, onTimeUp: () => void): Promise<void>;
}

/** @throws ScorelineError `configuration_invalid` when the port cannot be used */
export async function startGrpcServer(
  parts: Omit<GateOptions, 'configuration'> &
    AnswerOptions & { access: Omit<Access, 'close'>; calls: Calls; log: Logger },
  configuration: Configurations['api'],
  port: number,
): Promise<RunningGrpcServer> {
  const { HOST, BODY_BYTES_MAX, CONNECTIONS_MAX, PERMITS_MAX, SHUTDOWN_MS } = configuration;
  const answer = makeAnswer(parts);
  const gate = makeGate({ ...parts, configuration });

  const handle: handleUnaryCall<Message, Buffer> = (unary, callback) => {
    const arrival = gate.arrivalOf(unary.metadata);
    arrival.begin();
    answer(arrival, unary.request).then(
      (response) => {
        arrival.isAnswered = true;
        unary.sendMetadata(arrival.makeMetadata());
        callback(null, response);
      },
      (thrown) => {
        const error = toScorelineError(thrown);
        arrival.failure = error;
        callback(statusOf(error, arrival.makeMetadata()));
      },
    );
  };

  const server = new Server({
    'grpc.max_receive_message_length': BODY_BYTES_MAX,
    'grpc.max_send_message_length': -1,
    // A client holds further requests back itself. Some more than there are permits get a refusal.
    'grpc.max_concurrent_streams': PERMITS_MAX + 100,
    'grpc.keepalive_time_ms': pingEveryMs,
    'grpc.keepalive_timeout_ms': pongMsMax,
    'grpc.enable_channelz': 0,
    interceptors: [gate.interceptor],
  });
  // The messages are decoded and encoded by what answers.
  const asIs = (bytes: Buffer) => bytes;
  const toMessage = (bytes: Buffer) => new Message(bytes);
  for (const method of methodNames) {
    server.register(pathOf(method), handle, asIs, toMessage, 'unary');
  }

  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const sockets = new Set<Socket>();
  const listener = createServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    injector.injectConnection(socket);
  });
  limitConnections(listener, CONNECTIONS_MAX, parts.log);
  await listen(listener, { host: HOST, port, key: 'GRPC_PORT' });
  const cutOff = () => {
    for (const socket of sockets) socket.destroy();
  };

  return {
    port: (listener.address() as AddressInfo).port,
    leave: () => injector.drain(SHUTDOWN_MS + finalAnswerMs),
    close: (withinMs, onTimeUp) => {
      injector.drain(withinMs + finalAnswerMs);
      return closeWithin(listener, withinMs, { onTimeUp, cutOff });
    },
  };
}
