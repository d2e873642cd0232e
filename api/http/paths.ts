// What paths say before a route is chosen.

import type { IncomingMessage } from 'node:http';

/**
 * Returns the path of a request, without its query. Express changes `url` while it goes down to a part of the
 * application, and keeps what came as `originalUrl`.
 */
export function pathOf(request: Pick<IncomingMessage, 'url'> & { originalUrl?: string }): string {
  const [path = ''] = (request.originalUrl ?? request.url ?? '').split('?', 1);
  return path;
}

/** Open to all: they say whether the service works, and nothing else. */
export const openPaths: ReadonlySet<string> = new Set(['/', '/v2/health/live', '/v2/health/ready']);

/** Open to all, too: they describe the service, and to callers who are known their models. */
export const describingPaths: ReadonlySet<string> = new Set(['/openapi.json', '/docs/api']);

/** The address that says how people sign in. */
export const signInPath = '/v1/sign-in';

/** Whether a path is for people who have not signed in: the docs, the pictures of the page, and how to sign in. */
export function isForStrangers(path: string): boolean {
  if (path === '/docs' || path === signInPath || path.startsWith('/playground/')) return true;
  return path.startsWith('/docs/') && !describingPaths.has(path);
}

/**
 * Whether a path belongs to a protocol of KServe: the Open Inference Protocol, which is its V2, or V1, which TensorFlow
 * Serving has, too. Both have a form of errors of their own.
 */
export function isKserve(path: string): boolean {
  return path === '/v2' || path.startsWith('/v2/') || v1Address.test(path);
}

/** What V1 has for a model: its state, its signature, and verbs, of which only `:predict` is served. */
const v1Address = /^\/v1\/models\/[^/]+(?:\/versions\/[^/]+)?(?:\/metadata)?$/i;

/** The address at which V1 scores, with the model and the version. Some clients encode the colon. */
export const predictAddress = /^\/v1\/models\/([^/]+?)(?:\/versions\/([^/]+?))?(?::|%3A)predict$/i;

/** Whether a path is for operators, who look at it in a browser. */
export function isForOperators(path: string): boolean {
  return path.startsWith('/admin/');
}
