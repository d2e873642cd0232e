// The names of a service's keys in Redis. Everything of ours there begins with the prefix.

export function makeKeys(prefix: string) {
  return {
    prefix,
    /** Stream of the replies to one API instance; each entry's field `replies` has some, packed. */
    replies: (instance: string) => `${prefix}:replies:${instance}`,
    /** Hash of the large input tensors of one job, by `payloadField`. */
    payload: (job: string) => `${prefix}:payload:${job}`,
    /**
     * Sorted set of the items of a queue that wait for an answer, by deadline (milliseconds since
     * the epoch). Its length is the work that waits, which admission and autoscaling read.
     */
    unanswered: (queue: string) => `${prefix}:unanswered:${queue}`,
    /** Sorted set of the ids of items whose callers have left, by deadline. */
    cancelled: (queue: string) => `${prefix}:cancelled:${queue}`,
    /** Hash of how often items of a job were tried in quarantine without coming back, by item id. */
    strikes: (job: string) => `${prefix}:strikes:${job}`,
    /** Hash of a queue's counts, by `CountName`. */
    counts: (queue: string) => `${prefix}:counts:${queue}`,
    /** The fingerprint of the request that a caller's key stands for. */
    fingerprint: (scope: string) => `${prefix}:fingerprint:${scope}`,
    /** The reply to one item, packed as an array of one, kept for a caller that asks again. */
    result: (item: string) => `${prefix}:result:${item}`,
    /** Sorted set of the items whose replies are or will be kept, by the time they are gone. */
    results: `${prefix}:results`,
    /** Hash of the heartbeats of the API instances about a queue, by instance. */
    instances: (queue: string) => `${prefix}:instances:${queue}`,
    /** Sorted set of the live workers of a queue, by the time their presence expires. */
    workers: (queue: string) => `${prefix}:workers:${queue}`,
  };
}

export type Keys = ReturnType<typeof makeKeys>;

/**
 * What workers count: items dropped because their caller had left or their deadline had passed,
 * items failed with `model_crashed`, and jobs that could not be read.
 */
export const countNames = ['dropped', 'crashed', 'unreadable'] as const;
export type CountName = (typeof countNames)[number];
export type Counts = Record<CountName, number>;
