// The path of a request, as the log may have it.

import type { IncomingMessage } from 'node:http';
import { hideCredentials } from '../access/credential.js';
import { pathOf } from './paths.js';

/** Leaves out the query, and keys, tokens and passwords that a client has put into the path by mistake. */
export function loggedPath(request: IncomingMessage): string {
  const path = pathOf(request);
  const decoded = path.includes('%') ? decode(path) : path;
  const hidden = hideCredentials(decoded);
  return hidden === decoded ? path : hidden;
}

function decode(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
