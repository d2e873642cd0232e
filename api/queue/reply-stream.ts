// The stream on which workers answer this API instance, and its reader.
//
// The reader goes on from the last entry it has read, so a reply that comes while the connection
// is lost is read afterwards. The stream goes away by itself when its reader is gone: only the
// reader renews its time to live, and workers never create it (worker/queue/replies.ts).
//
// Entries have the time by Redis' clock as their ids. When Redis comes back empty, that clock may
// be behind what it was, and the last id read may be ahead of all that follow. So the reader reads
// the new stream from its beginning.

import { coerceError, ScorelineError } from '../../shared/errors.js';
import type { Keys } from '../../shared/keys.js';
import { type Logger, makeSeldom } from '../../shared/log.js';
import type { Redis } from '../../shared/redis.js';
import { idsOfReplies, type Reply, unpackReplies } from '../../shared/reply.js';

const timeToLiveMs = 120_000;
const upkeepEveryMs = 1000;
const blockMs = 1000;
const entriesPerRead = 1000;
/** Before the first entry of a stream. */
const beginning = '0';

export interface ReplyStream {
  close(): Promise<void>;
}

/** Creates the stream and starts reading it. */
export async function openReplyStream(options: {
  instance: string;
  keys: Keys;
  /** For short commands. */
  producer: Redis;
  /** For the blocking read; nothing else may use it. */
  reader: Redis;
  onReply: (reply: Reply) => void;
  /** Replies came that cannot be understood; these are the items as far as can be told. */
  onUnreadable: (ids: readonly string[], error: ScorelineError) => void;
  /** Redis has come back without its data: what was sent before will not be answered. */
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

  /** Drops what was read, renews the stream, and makes it again when Redis came back empty. */
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
      // Also when the answer is lost: the stream may exist then, and nothing would look missing.
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
      // Not awaited: a read that was waiting for Redis to come back never ends (ioredis keeps it).
      reader.disconnect();
      await producer.unlink(key).catch(() => {});
    },
  };
}
