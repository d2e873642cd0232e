// The stream on which workers answer this API instance, and its reader.
//
// The reader goes on from the last entry it has read, so a reply that comes while the connection
// is lost is read afterwards. The stream goes away by itself when its reader is gone: only the
// reader keeps its time to live alive, and workers never create it (worker/queue/replies.ts).

import { coerceError } from '../../shared/errors.js';
import type { Keys } from '../../shared/keys.js';
import type { Logger } from '../../shared/log.js';
import type { Redis } from '../../shared/redis.js';
import { type Reply, unpackReplies } from '../../shared/wire.js';

const timeToLiveMs = 120_000;
const upkeepEveryMs = 1000;
const blockMs = 1000;
const entriesPerRead = 1000;

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
  /** Redis has come back without its data: what was sent before will not be answered. */
  onLost: () => void;
  log: Logger;
}): Promise<ReplyStream> {
  const { producer, reader, onReply, onLost, log } = options;
  const key = options.keys.replies(options.instance);
  let closed = false;

  const create = async (): Promise<string> => {
    const id = (await producer.xadd(key, '*', 'created', '1')) as string;
    await producer.pexpire(key, timeToLiveMs);
    return id;
  };

  let lastId = await create();

  /** Drops what was read, keeps the stream alive, makes it again when Redis came back empty. */
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
      await create();
    } finally {
      // Also when the answer is lost: the stream may be there, and then nothing looks missing.
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
          lastId = String(id);
          if (String(fields[0]) === 'replies') deliver(fields[1] as Buffer);
        }
      } catch (thrown) {
        if (closed) return;
        log.warn({ reason: coerceError(thrown).message }, 'reading replies failed; trying again');
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  };

  const deliver = (packed: Buffer) => {
    for (const reply of unpackReplies(packed)) onReply(reply);
  };

  const keepUp = () => void upkeep().catch(() => {});
  const timer = setInterval(keepUp, upkeepEveryMs);
  producer.on('ready', keepUp);
  const reading = read();

  return {
    close: async () => {
      if (closed) return;
      closed = true;
      clearInterval(timer);
      producer.off('ready', keepUp);
      reader.disconnect();
      await reading;
      await producer.unlink(key).catch(() => {});
    },
  };
}
