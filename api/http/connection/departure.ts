// The departure of a request: its answer is sent, or its client is gone.

import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

const departures = new WeakMap<Socket, Set<() => void>>();

/**
 * Calls the listener once, when the response or its connection closes. Node emits `close` only on the
 * response whose turn it is, and not on those of pipelined requests behind it.
 */
export function onDeparture(response: ServerResponse, listener: () => void): void {
  const listeners = listenersOf(response.req.socket);
  listeners.add(listener);
  response.once('close', () => {
    if (listeners.delete(listener)) listener();
  });
}

/** Whether the client of a request is gone already, so that its departure will not be reported. */
export function isGone(response: ServerResponse): boolean {
  return response.destroyed || response.req.socket.destroyed;
}

function listenersOf(socket: Socket): Set<() => void> {
  const known = departures.get(socket);
  if (known) return known;
  const listeners = new Set<() => void>();
  departures.set(socket, listeners);
  socket.once('close', () => {
    for (const listener of listeners) {
      listeners.delete(listener);
      listener();
    }
  });
  return listeners;
}
