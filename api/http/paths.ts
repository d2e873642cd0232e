// What paths say before a route is chosen.

/** Open to all: they say whether the service works, and nothing else. */
export const openPaths: ReadonlySet<string> = new Set(['/', '/v2/health/live', '/v2/health/ready']);

/** Whether a path belongs to the Open Inference Protocol, which has a form of errors of its own. */
export function isInference(path: string): boolean {
  return path === '/v2' || path.startsWith('/v2/');
}
