// Results: replies that a worker keeps in Redis for repeats of a request.
//
// If two API instances get requests with the same key, the same item can be in two jobs. The first
// reply kept is the item's result, and every caller gets that one. So a reply is kept first and
// sent afterwards. Only outputs, and errors that the input causes, are results. A result of an
// earlier request is marked `isKept`, because its timing is that request's.

import type { ErrorCode } from '../../shared/errors.js';
import type { Item } from '../../shared/job.js';
import type { Keys } from '../../shared/keys.js';
import type { Logger } from '../../shared/log.js';
import type { Redis } from '../../shared/redis.js';
import { packReplies, type Reply, unpackReplies } from '../../shared/reply.js';
import { makeTryUntil } from './replies.js';

const resultErrors: ReadonlySet<ErrorCode> = new Set([
  'model_crashed',
  'model_failed',
  'inputs_refused',
  'model_output_mismatch',
]);

type Keepable = Pick<Item, 'id' | 'keepMs'>;
type KeepableUntil = Pick<Item, 'id' | 'keepMs' | 'deadlineAt'>;

export interface Results {
  /** Finds the kept results of these items, by item id. Items without `keepMs` have none. */
  find(items: readonly Keepable[]): Promise<ReadonlyMap<string, Reply>>;
  /** Keeps the replies to items with `keepMs`. Returns the replies to send, in the same order. */
  keep(items: readonly KeepableUntil[], replies: readonly Reply[]): Promise<readonly Reply[]>;
}

/** Makes the results of a queue, packed in the wire version of its jobs. */
export function makeResults(options: {
  wire?: number;
  redis: Redis;
  keys: Keys;
  log: Logger;
}): Results {
  const { wire, redis, keys, log } = options;
  const tryUntil = makeTryUntil({ redis, log });

  /** Keeps each reply unless the item has one already. Returns the kept replies. */
  const keepFirst = async (replies: readonly Reply[], keepMs: ReadonlyMap<string, number>) => {
    const commands = redis.multi();
    for (const reply of replies) {
      const key = keys.result(reply.id);
      const ms = keepMs.get(reply.id) as number;
      commands.set(key, packReplies([reply], wire), 'PX', ms, 'NX');
      commands.getBuffer(key);
    }
    const outcomes = await commands.exec();
    return replies.map((reply, at) => {
      const isFirst = outcomes?.[2 * at]?.[1] !== null;
      return isFirst ? reply : (readKept(outcomes?.[2 * at + 1]?.[1]) ?? reply);
    });
  };

  return {
    async find(items) {
      const ids = items.filter((item) => item.keepMs !== undefined).map((item) => item.id);
      if (ids.length === 0) return none;
      const kept = await redis.mgetBuffer(...ids.map((id) => keys.result(id)));
      const found = kept.map(readKept).filter((reply) => reply !== undefined);
      return new Map(found.map((reply) => [reply.id, reply]));
    },

    async keep(items, replies) {
      const kept = replies.filter(
        (reply, at) => items[at]?.keepMs !== undefined && isResult(reply),
      );
      if (kept.length === 0) return replies;
      const keepMs = new Map(items.map((item) => [item.id, item.keepMs ?? 0]));
      const deadlineAt = Math.max(...items.map((item) => item.deadlineAt));
      const first = await tryUntil(deadlineAt, kept.length, () => keepFirst(kept, keepMs));
      const results = new Map(first?.map((reply) => [reply.id, reply]));
      return replies.map((reply) => results.get(reply.id) ?? reply);
    },
  };
}

const none: ReadonlyMap<string, Reply> = new Map();

/** Reads a kept result. One that cannot be read, such as of another version, counts as missing. */
function readKept(bytes: unknown): Reply | undefined {
  if (!Buffer.isBuffer(bytes)) return undefined;
  try {
    const [reply] = unpackReplies(bytes);
    return reply && 'outputs' in reply ? { ...reply, isKept: true } : reply;
  } catch {
    return undefined;
  }
}

function isResult(reply: Reply): boolean {
  return 'outputs' in reply || resultErrors.has(reply.error.code);
}
