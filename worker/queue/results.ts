// Results: replies that are kept in Redis for callers that ask again; seen from the worker, which
// writes them.
//
// The same item can be in two jobs, of two API instances that were asked with the same key. Of two
// replies to it the first that is kept is its result, and everybody is answered with that one; so
// a reply is kept first and sent then. Only what the model says of the input is a result.

import type { ErrorCode } from '../../shared/errors.js';
import type { Keys } from '../../shared/keys.js';
import type { Logger } from '../../shared/log.js';
import type { Redis } from '../../shared/redis.js';
import { type Item, packReplies, type Reply, unpackReplies } from '../../shared/wire.js';
import { makeTryUntil } from './replies.js';

const resultErrors: ReadonlySet<ErrorCode> = new Set([
  'model_crashed',
  'model_failed',
  'model_output_mismatch',
]);

export interface Results {
  /** The results that are there already, of those items that are kept, by item id. */
  find(items: readonly Item[]): Promise<ReadonlyMap<string, Reply>>;
  /** Keeps the replies to such items. Gives what is to be answered, in the same order. */
  keep(items: readonly Item[], replies: readonly Reply[]): Promise<readonly Reply[]>;
}

export function makeResults(options: { redis: Redis; keys: Keys; log: Logger }): Results {
  const { redis, keys, log } = options;
  const tryUntil = makeTryUntil({ redis, log });

  return {
    async find(items) {
      const ids = items.filter((item) => item.keepMs !== undefined).map((item) => item.id);
      if (ids.length === 0) return new Map();
      const kept = await redis.mgetBuffer(...ids.map((id) => keys.result(id)));
      const found = kept.flatMap((bytes) => (bytes === null ? [] : unpackReplies(bytes)));
      return new Map(found.map((reply) => [reply.id, reply]));
    },

    async keep(items, replies) {
      const kept = replies.filter(
        (reply, at) => items[at]?.keepMs !== undefined && isResult(reply),
      );
      if (kept.length === 0) return replies;
      const keepMs = new Map(items.map((item) => [item.id, item.keepMs]));
      const deadlineAt = Math.max(...items.map((item) => item.deadlineAt));

      const keepFirst = async () => {
        const commands = redis.multi();
        for (const reply of kept) {
          const key = keys.result(reply.id);
          commands.set(key, packReplies([reply]), 'PX', keepMs.get(reply.id) as number, 'NX');
          commands.getBuffer(key);
        }
        const outcomes = await commands.exec();
        return kept.map((reply, at) => {
          const bytes = outcomes?.[2 * at + 1]?.[1];
          const [first] = Buffer.isBuffer(bytes) ? unpackReplies(bytes) : [];
          return first ?? reply;
        });
      };

      const first = await tryUntil(deadlineAt, kept.length, keepFirst);
      const results = new Map(first?.map((reply) => [reply.id, reply]));
      return replies.map((reply) => results.get(reply.id) ?? reply);
    },
  };
}

function isResult(reply: Reply): boolean {
  return 'scores' in reply || resultErrors.has(reply.error.code);
}
