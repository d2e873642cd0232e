// How many connections a process may have open, and what the log says once they are all taken.
//
// If a process runs out of file descriptors, Node closes or forgets further connections without a word, and then Redis
// cannot be reached again either. So some are kept free.

import { readFileSync } from 'node:fs';
import type { Server } from 'node:net';
import { type Logger, makeSeldom } from './log.js';

/** File descriptors for all that is not a client's connection. An idle API has 24. */
const othersMax = 100;

/** Has a server close further connections at once, and log that it does. */
export function limitConnections(server: Server, connectionsMax: number, log: Logger): void {
  const openFilesMax = readOpenFilesMax();
  const most = Math.max(1, Math.min(connectionsMax, openFilesMax - othersMax));
  const advice =
    most === connectionsMax
      ? 'Raise CONNECTIONS_MAX, or put a proxy in front.'
      : `Raise the limit of open files (ulimit -n), which is ${openFilesMax}.`;
  const warn = makeSeldom(log);
  server.maxConnections = most;
  server.on('drop', () =>
    warn({ connections: most, advice }, 'further connections are closed at once'),
  );
}

/** Returns the limit of Linux; other systems do not tell it cheaply. */
function readOpenFilesMax(): number {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8');
    return Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? Number.POSITIVE_INFINITY);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
