// The names of a service's keys in Redis. Every key begins with the prefix.

export function makeKeys(prefix: string) {
  return {
    prefix,
    /**
     * A random text that the first API instance writes, and that stays. While it is the same, Redis has
     * not lost its data.
     */
    dataId: `${prefix}:data-id`,
    /** Set of the names of queues that an API instance has sent to. */
    queues: `${prefix}:queues`,
    /**
     * Stream of replies to one API instance. The field `replies` of each entry has some, packed.
     */
    replies: (instance: string) => `${prefix}:replies:${instance}`,
    /** Hash of the large input tensors of one job, by `payloadField`. */
    payload: (job: string) => `${prefix}:payload:${job}`,
    /**
     * Sorted set of the unanswered items of a queue, by deadline (milliseconds since the epoch).
     * Admission and autoscaling read its length as the backlog.
     */
    unanswered: (queue: string) => `${prefix}:unanswered:${queue}`,
    /** Those of them that are bulk, in the same form. */
    unansweredBulk: (queue: string) => `${prefix}:unanswered-bulk:${queue}`,
    /** Sorted set of the ids of cancelled items, whose callers have left, by deadline. */
    cancelled: (queue: string) => `${prefix}:cancelled:${queue}`,
    /**
     * Hash of how often each item of a job was tried in quarantine without an answer, by item id.
     */
    strikes: (job: string) => `${prefix}:strikes:${job}`,
    /** Hash of a queue's counts, by `CountName`. */
    counts: (queue: string) => `${prefix}:counts:${queue}`,
    /** The fingerprint of the request that an `Idempotency-Key` was first used for. */
    fingerprint: (scope: string) => `${prefix}:fingerprint:${scope}`,
    /** The kept reply to one item, for repeats; packed as an array of one. */
    result: (item: string) => `${prefix}:result:${item}`,
    /**
     * Sorted set of the items whose replies are or will be kept, by the time until which they count
     * (shared/redis/kept-results.ts).
     */
    results: `${prefix}:results`,
    /** How many bytes the kept replies of that set have. */
    resultsBytes: `${prefix}:results-bytes`,
    /** The same two for the items of one caller. */
    resultsOf: (caller: string) => `${prefix}:results:${caller}`,
    resultsBytesOf: (caller: string) => `${prefix}:results-bytes:${caller}`,
    /** Hash of a queue's cached answers, by the digest of the request (api/cache/entries.ts). */
    cache: (queue: string) => `${prefix}:cache:${queue}`,
    /** Sorted set of the digests, by when their answers were scored (milliseconds since the epoch). */
    cacheAges: (queue: string) => `${prefix}:cache-ages:${queue}`,
    /** How many bytes the answers have together. */
    cacheBytes: (queue: string) => `${prefix}:cache-bytes:${queue}`,
    /** A caller's job as JSON (api/jobs/job-record.ts). */
    job: (id: string) => `${prefix}:job:${id}`,
    /** Sorted set of the ids of a caller's jobs, by when they were submitted. */
    jobs: (caller: string) => `${prefix}:jobs:${caller}`,
    /** The same set by when the jobs are forgotten. */
    jobsEnd: (caller: string) => `${prefix}:jobs-end:${caller}`,
    /**
     * Sorted set of a caller's jobs whose webhooks to one host are pending, by when to look at them next. No origin has
     * the slash.
     */
    webhooks: (origin: string, caller: string) => `${prefix}:webhooks:${origin}/${caller}`,
    /** Sorted set of the callers with such jobs, by when it is their turn (api/webhooks/pending-webhooks.ts). */
    webhookTurns: (origin: string) => `${prefix}:webhook-turns:${origin}`,
    /** Set of the hosts that webhooks may go to, or could once. */
    webhookHosts: `${prefix}:webhook-hosts`,
    /** How many webhooks to one host are pending. */
    webhooksPending: (origin: string) => `${prefix}:webhooks-pending:${origin}`,
    /** Hash of a job's webhook (api/webhooks/webhook.ts). */
    webhook: (job: string) => `${prefix}:webhook:${job}`,
    /** Sorted set of the jobs whose webhooks are dead letters, by when they died. */
    deadWebhooks: `${prefix}:webhooks-dead`,
    /** Hash of the API instances' heartbeats about a queue, by instance. */
    instances: (queue: string) => `${prefix}:instances:${queue}`,
    /** Sorted set of warnings about clocks that differ from that of Redis, by when they expire. */
    clocks: `${prefix}:clocks`,
    /** Sorted set of the live workers of a queue, by the time their presence expires. */
    workers: (queue: string) => `${prefix}:workers:${queue}`,
    /** Hash of why workers cannot load the model of a queue, by worker (shared/registry/repository.ts). */
    faults: (queue: string) => `${prefix}:faults:${queue}`,
    /** Set of the names of the models that operators have unloaded. */
    unloaded: `${prefix}:models-unloaded`,
    /** A random text that each order to load or unload a model replaces. */
    modelsRevision: `${prefix}:models-revision`,
    /** Hash of the API keys' records as JSON, by the id of the key. */
    apiKeys: `${prefix}:api-keys`,
    /** A random text that each change of the API keys replaces. */
    apiKeysVersion: `${prefix}:api-keys-version`,
    /** Sorted set of the ids of API keys, by the times when they were last used (milliseconds since the epoch). */
    apiKeysUsed: `${prefix}:api-keys-last-used`,
    /** Hash of what a caller uses of its limits, over all API instances (api/access/usage.ts). */
    usage: (caller: string) => `${prefix}:usage:${caller}`,
  };
}

export type Keys = ReturnType<typeof makeKeys>;

/**
 * What workers count: `dropped` items, whose caller had left or whose deadline had passed;
 * `crashed` items, which failed with `model_crashed`; `unreadable` jobs; and `fallbacks`, how often the model was
 * opened on its fallback device.
 */
export const countNames = ['dropped', 'crashed', 'unreadable', 'fallbacks'] as const;
export type CountName = (typeof countNames)[number];
export type Counts = Record<CountName, number>;
