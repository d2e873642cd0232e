// Ports that the API listens on.

import { once } from 'node:events';
import type { Server } from 'node:net';
import { cannotListen, hostFor, type ListenAddress } from '../shared/process/cannot-listen.js';

/** How long requests that the shutdown ends have to send their answer. */
export const finalAnswerMs = 200;

/** @throws ScorelineError `configuration_invalid` when the port cannot be used */
export async function listen(server: Server, address: ListenAddress): Promise<void> {
  const { host, port } = address;
  // Node accepts one connection per turn of its loop. In a busy moment, the default backlog of 511 fills
  // and Linux drops connections. Their clients try again only after one second, then three.
  server.listen({ port, host: hostFor(host), backlog: 4096 });
  try {
    await once(server, 'listening');
  } catch (error) {
    throw cannotListen(error as NodeJS.ErrnoException, address);
  }
}

/**
 * Stops listening, and resolves when all connections have ended. After `withinMs` it calls `onTimeUp`, which should end
 * the remaining requests, and a moment later `cutOff`, which should end their connections.
 */
export async function closeWithin(
  server: Server,
  withinMs: number,
  { onTimeUp, cutOff }: { onTimeUp: () => void; cutOff: () => void },
): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  const timers = [setTimeout(onTimeUp, withinMs), setTimeout(cutOff, withinMs + finalAnswerMs)];
  await closed;
  for (const timer of timers) clearTimeout(timer);
}
