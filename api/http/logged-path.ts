// The path of a request, as the log may have it.

import type { IncomingMessage } from 'node:http';
import { apiKeyPrefix } from '../access/api-key.js';
import { pathOf } from './paths.js';

const keys = new RegExp(`${apiKeyPrefix}\\w+`, 'g');

/** Leaves out the query, and API keys that a client has put into the path by mistake. */
export function loggedPath(request: IncomingMessage): string {
  const path = pathOf(request);
  return path.includes(apiKeyPrefix) ? path.replace(keys, `${apiKeyPrefix}…`) : path;
}
