// The stream of replies to this API instance, and its reader.
//
// The reader continues after the last entry it has read, so it also gets replies that arrive while its
// connection is lost. Only the reader renews the stream's time to live, and workers never create the
// stream (worker/queue/replies.ts). So a stream without a reader expires.
//
// If the stream is gone, replies may be gone with it, so the requests that wait are refused. It is gone
// because Redis has lost its data, which the data id in Redis tells; because this process did not renew
// it in time, as it was stopped or cut off from Redis; or because it was deleted, or expired when the clock
// of Redis was set ahead. When it was last renewed tells which.
//
// Entry ids are times by Redis' clock. If Redis comes back empty, or as another server after a fail-over,
// its clock may be behind, and the last id read may be ahead of all new ids. So after a new connection the
// reader begins at the stream's beginning. It may then read some entries again. Their items have no waiters
// any more, so that does no harm.

import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { coerceError, ScorelineError } from '../../shared/errors.js';
import { type Logger, makeSeldom, type Seldom } from '../../shared/process/log.js';
import type { Keys } from '../../shared/redis/keys.js';
import type { Redis } from '../../shared/redis/redis.js';
import { idsOfReplies, type Reply, unpackReplies } from '../../shared/wire/reply.js';
import { queueLost } from './queue.js';

/** How long the stream outlives its reader. */
const timeToLiveMs = 120_000;
const upkeepEveryMs = 1000;
const blockMs = 1000;
const entriesPerRead = 1000;
/** The id before the first entry of a stream. */
const beginning = '0';

export interface ReplyStreamOptions {
  /** Names the stream. */
  readonly instance: string;
  readonly keys: Keys;
  /** For short commands. */
  readonly producer: Redis;
  /** For the blocking read. Nothing else may use this connection. */
  readonly reader: Redis;
  readonly onReply: (reply: Reply) => void;
  /** Is called for replies that cannot be parsed, with those item ids that can be read. */
  readonly onUnreadable: (ids: readonly string[], error: ScorelineError) => void;
  /** Is called when earlier requests may get no answer, with the reason. */
  readonly onLost: (reason: ScorelineError) => void;
  readonly log: Logger;
}

export class ReplyStream {
  readonly #options: ReplyStreamOptions;
  readonly #key: string;
  readonly #warn: Seldom;
  readonly #keepUp = () => void this.#upkeep().catch(() => {});
  readonly #beginAgain = () => {
    this.#lastId = beginning;
    this.#beginnings++;
  };
  #timer: NodeJS.Timeout | undefined;
  #lastId = beginning;
  /** How often the reader had to begin again. */
  #beginnings = 0;
  #dataId: string | null = null;
  #renewedAt = 0;
  #isClosed = false;

  private constructor(options: ReplyStreamOptions) {
    this.#options = options;
    this.#key = options.keys.replies(options.instance);
    this.#warn = makeSeldom(options.log);
  }

  /**
   * Creates the stream and starts to read it.
   * @throws Error of ioredis when the stream cannot be created
   */
  static async open(options: ReplyStreamOptions): Promise<ReplyStream> {
    const stream = new ReplyStream(options);
    stream.#lastId = await stream.#create();
    stream.#timer = setInterval(stream.#keepUp, upkeepEveryMs);
    // First, so upkeep drops nothing that has to be read again.
    for (const redis of [options.producer, options.reader]) redis.on('ready', stream.#beginAgain);
    options.producer.on('ready', stream.#keepUp);
    void stream.#read();
    return stream;
  }

  /** Stops reading and deletes the stream. Can be called twice. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const { producer, reader } = this.#options;
    clearInterval(this.#timer);
    for (const redis of [producer, reader]) redis.off('ready', this.#beginAgain);
    producer.off('ready', this.#keepUp);
    // Do not wait for `#read`: ioredis never settles a read that waits for a lost connection.
    reader.disconnect();
    await producer.unlink(this.#key).catch(() => {});
  }

  /** Returns the id of the first entry. */
  async #create(): Promise<string> {
    const { producer, keys } = this.#options;
    await producer.set(keys.dataId, randomUUID(), 'NX');
    this.#dataId = await producer.get(keys.dataId);
    const id = (await producer.xadd(this.#key, '*', 'created', '1')) as string;
    await producer.pexpire(this.#key, timeToLiveMs);
    this.#renewedAt = performance.now();
    return id;
  }

  /** Drops read entries and renews the stream, or creates it again if it is gone. */
  async #upkeep(): Promise<void> {
    const { producer, keys, onLost } = this.#options;
    // A full Redis refuses transactions.
    const result = await producer
      .pipeline()
      .xtrim(this.#key, 'MINID', this.#lastId)
      .pexpire(this.#key, timeToLiveMs)
      .exec();
    const renewed = result?.[1]?.[1];
    if (renewed === 1) this.#renewedAt = performance.now();
    if (renewed !== 0) return;
    const renewedMsAgo = performance.now() - this.#renewedAt;
    const hasLostData = (await producer.get(keys.dataId)) !== this.#dataId;
    try {
      this.#beginAgain();
      await this.#create();
    } finally {
      // Even if `create` fails: the command may have run, and then nothing would look missing later.
      onLost(hasLostData ? this.#lost() : this.#missing(renewedMsAgo));
    }
  }

  #lost(): ScorelineError {
    this.#options.log.error(
      'Redis has lost its data; the requests that waited are refused. Keep an append-only file, and set maxmemory-policy noeviction',
    );
    return queueLost();
  }

  #missing(renewedMsAgo: number): ScorelineError {
    this.#options.log.error(
      { renewedMsAgo: Math.round(renewedMsAgo), timeToLiveMs },
      renewedMsAgo >= timeToLiveMs
        ? 'the stream of replies is gone, because this process was stopped or cut off from Redis for long; the requests that waited are refused'
        : 'the stream of replies is gone, because it was deleted, or the clock of Redis was set ahead; the requests that waited are refused',
    );
    return new ScorelineError(
      'queue_unavailable',
      'Replies to this instance were lost, and the answer may be among them. Ask again: scoring twice does no harm.',
      { retryAfterSeconds: 1 },
    );
  }

  async #read(): Promise<void> {
    while (!this.#isClosed) {
      try {
        await this.#readOnce();
        // The answers are written before the next command, which takes a tenth of a millisecond.
        await new Promise(setImmediate);
      } catch (thrown) {
        if (this.#isClosed) return;
        const reason = coerceError(thrown).message;
        this.#warn({ reason }, 'reading replies failed; trying again');
        await delay(100);
      }
    }
  }

  async #readOnce(): Promise<void> {
    const beginnings = this.#beginnings;
    const streams = await this.#options.reader.xreadBuffer(
      'COUNT',
      entriesPerRead,
      'BLOCK',
      blockMs,
      'STREAMS',
      this.#key,
      this.#lastId,
    );
    for (const [id, fields] of streams?.[0]?.[1] ?? []) {
      if (this.#isClosed) return;
      if (this.#beginnings === beginnings) this.#lastId = String(id);
      if (String(fields[0]) === 'replies') this.#deliver(fields[1] as Buffer);
    }
  }

  #deliver(packed: Buffer): void {
    const { onReply, onUnreadable } = this.#options;
    try {
      for (const reply of unpackReplies(packed)) onReply(reply);
    } catch (thrown) {
      const ids = idsOfReplies(packed);
      const { message } = coerceError(thrown);
      this.#warn({ replies: ids.length, reason: message }, 'replies cannot be read');
      onUnreadable(ids, new ScorelineError('wire_mismatch', message));
    }
  }
}
