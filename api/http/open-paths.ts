/** Open to all: they say whether the service works, and nothing else. */
export const openPaths: ReadonlySet<string> = new Set(['/', '/v2/health/live', '/v2/health/ready']);
