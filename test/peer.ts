// A server that answers as a test says: late, wrongly, or not at all.

import { once } from 'node:events';
import {
  createServer,
  type Server as HttpServer,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo, Server } from 'node:net';
import { onTestFinished } from 'vitest';

/** What the server does with a request. */
export type Answer = (response: ServerResponse, request: IncomingMessage) => void;

/** Starts a server that gives the answers in their order, and the last one from then on. */
export async function openPeer(...answers: Answer[]) {
  const requests: IncomingMessage[] = [];
  const responses: ServerResponse[] = [];
  const server = createServer((request, response) => {
    const answer = answers[Math.min(requests.length, answers.length - 1)] as Answer;
    requests.push(request);
    responses.push(response);
    request.resume();
    answer(response, request);
  });
  const port = await listenOnFreePort(server);
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    /** Whether every request was answered, or has ended with its connection. */
    isOver: () => responses.every(({ writableFinished, closed }) => writableFinished || closed),
    keys: () => requests.map(({ headers }) => headers['idempotency-key']),
  };
}

/** Lets a server listen on 127.0.0.1 until the test ends. Resolves to its port. */
export async function listenOnFreePort(server: Server | HttpServer): Promise<number> {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => {
    if ('closeAllConnections' in server) server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

export const json =
  (body: unknown, status = 200, headers = {}): Answer =>
  (response) => {
    response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
    response.end(JSON.stringify(body));
  };
export const problem = (status: number, code: string, headers = {}) =>
  json(
    { type: `urn:scoreline:error:${code}`, title: 'T', status, code, detail: 'Because.' },
    status,
    headers,
  );
export const hangUp: Answer = (response) => response.socket?.destroy();
export const nothing: Answer = () => {};
/** The head of an answer, and not all of its body. */
export const cutOff: Answer = (response) => {
  response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': '1000' });
  response.write('{"model":', () => response.socket?.destroy());
};
/** The same, and then nothing. */
export const stop: Answer = (response) => {
  response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': '1000' });
  response.write('{"model":');
};
export const events =
  (...texts: string[]): Answer =>
  (response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    response.end(texts.join(''));
  };
