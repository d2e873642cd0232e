// The settings of a model that API and worker must agree on: all that its manifest says, except what no answer depends
// on. So a key that is new counts until somebody leaves it out here.

/** The keys that no answer depends on. Name and version are in the queue's name, and labels are compared as read. */
const unrelated: ReadonlySet<string> = new Set([
  'name',
  'version',
  'description',
  ...['source', 'source.externalData', 'source.tokenizer', 'source.files'].flatMap(whereFrom),
  'batch.max',
  'batch.waitMs',
  'device',
  'deadlineMs',
  'runMsMax',
  'loadMsMax',
  'jobs',
  'cache',
  'scaling',
  'slo',
  'example',
  'samples',
  // Only the API looks at it, and workers answer with any output.
  'predict',
]);

/**
 * Returns the settings as a text, the same for any order of keys.
 * @param written the manifest as it is written, without defaults: a release that knows more keys gives old models the
 * same text, so their queues stay while API and workers are updated one after the other
 */
export function agreedSettings(written: unknown): string {
  return JSON.stringify(related(written, ''));
}

/** The keys that say where a file comes from. Its checksum says what it is. */
function whereFrom(file: string): string[] {
  return [`${file}.urls`, `${file}.archive`];
}

function related(value: unknown, place: string): unknown {
  if (Array.isArray(value)) return value.map((each) => related(each, place));
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value)
    .map(([key, each]) => ({ key, each, inner: place === '' ? key : `${place}.${key}` }))
    .filter(({ inner }) => !unrelated.has(inner))
    .map(({ key, each, inner }) => [key, related(each, inner)] as const)
    // `batch: {max: 8}` says no more than no batch.
    .filter(([key, each]) => !(place === '' && key === 'batch' && isEmpty(each)))
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(kept);
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}
