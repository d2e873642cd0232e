// Closes the servers of the API in order.

import { once } from 'node:events';
import type { Server } from 'node:net';

/** How long requests that the shutdown ends have to send their answer. */
export const finalAnswerMs = 200;

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
