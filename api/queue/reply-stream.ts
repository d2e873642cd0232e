// The stream of replies to this API instance, and its reader.
//
// The reader continues after the last entry it has read, so it also gets replies that arrive while its
// connection is lost. Only the reader renews the stream's time to live, and workers never create the
// stream (worker/queue/replies.ts). So a stream without a reader expires.
//
// Entry ids are times by Redis' clock. If Redis comes back empty, its clock may be behind, and the last
// id read may be ahead of all new ids. So the reader reads a new stream from its beginning.

import { coerceError, ScorelineError } from '../../shared/errors.js';
import type { Keys } from '../../shared/keys.js';
import { type Logger, makeSeldom } from '../../shared/log.js';
import type { Redis } from '../../shared/redis.js';
import { idsOfReplies, type Reply, unpackReplies } from '../../shared/reply.js';

/** How long the stream outlives its reader. */
const timeToLiveMs = 120_000;
const upkeepEveryMs = 1000;
const blockMs = 1000;
const entriesPerRead = 1000;
/** The id before the first entry of a stream. */
const beginning = '0';

export interface ReplyStream {
  /** Stops reading and deletes the stream. Can be called twice. */
  close(): Promise<void>;
}

/**
 * Creates the stream and starts to read it.
 * @throws Error of ioredis when the stream cannot be created
 */
export async function openReplyStream(options: {
  instance: string;
  keys: Keys;
  /** For short commands. */
  producer: Redis;
  /** For the blocking read. Nothing else may use this connection. */
  reader: Redis;
  onReply: (reply: Reply) => void;
  /** Is called for replies that cannot be parsed, with those item ids that can be read. */
  onUnreadable: (ids: readonly string[], error: ScorelineError) => void;
  /** Is called when Redis has lost its data, so earlier requests will get no answer. */
  onLost: () => void;
  log: Logger;
}): Promise<ReplyStream> {
  const { producer, reader, onReply, onUnreadable, onLost, log } = options;
  const warn = makeSeldom((fields, message) => log.warn(fields, message));
  const key = options.keys.replies(options.instance);
  let closed = false;

  const create = async (): Promise<string> => {
    const id = (await producer.xadd(key, '*', 'created', '1')) as string;
    await producer.pexpire(key, timeToLiveMs);
    return id;
  };

  let lastId = await create();

  /** Drops read entries and renews the stream, or creates it again if Redis has lost its data. */
  const upkeep = async () => {
    const result = await producer
      .multi()
      .xtrim(key, 'MINID', lastId)
      .pexpire(key, timeToLiveMs)
      .exec();
    if (result?.[1]?.[1] !== 0) return;
    log.error(
      'Redis has lost its data; the requests that waited are refused. Keep an append-only file',
    );
    try {
      lastId = beginning;
      await create();
    } finally {
      // Even if `create` fails: the command may have run, and then nothing would look missing later.
      onLost();
    }
  };

  const read = async () => {
    while (!closed) {
      try {
        const streams = await reader.xreadBuffer(
          'COUNT',
          entriesPerRead,
          'BLOCK',
          blockMs,
          'STREAMS',
          key,
          lastId,
        );
        for (const [id, fields] of streams?.[0]?.[1] ?? []) {
          if (closed) return;
          lastId = String(id);
          if (String(fields[0]) === 'replies') deliver(fields[1] as Buffer);
        }
        // The answers are written before the next command, which takes a tenth of a millisecond.
        await new Promise(setImmediate);
      } catch (thrown) {
        if (closed) return;
        warn({ reason: coerceError(thrown).message }, 'reading replies failed; trying again');
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  };

  const deliver = (packed: Buffer) => {
    try {
      for (const reply of unpackReplies(packed)) onReply(reply);
    } catch (thrown) {
      const ids = idsOfReplies(packed);
      const { message } = coerceError(thrown);
      warn({ replies: ids.length, reason: message }, 'replies cannot be read');
      onUnreadable(ids, new ScorelineError('wire_mismatch', message));
    }
  };

  const keepUp = () => void upkeep().catch(() => {});
  const timer = setInterval(keepUp, upkeepEveryMs);
  producer.on('ready', keepUp);
  void read();

  return {
    close: async () => {
      if (closed) return;
      closed = true;
      clearInterval(timer);
      producer.off('ready', keepUp);
      // Do not wait for `read`: ioredis never settles a read that waits for a lost connection.
      reader.disconnect();
      await producer.unlink(key).catch(() => {});
    },
  };
}
