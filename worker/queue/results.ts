// Results: replies that a worker keeps in Redis for repeats of a request.
//
// If two API instances get requests with the same key, the same item can be in two jobs. The first
// reply kept is the item's result, and every caller gets that one. So a reply is kept first and
// sent afterwards. Only outputs, and errors that the input causes, are results. A result of an
// earlier request is marked `isKept`, because its timing is that request's.
//
// The items of a caller's job are not sent again, so each reply to one of them is a result. A job that is cancelled
// gets its result from the API: the error `job_cancelled`. A run that ends after that finds this result kept already.

import { nowMs } from '../../shared/clock.js';
import type { ErrorCode } from '../../shared/errors.js';
import type { Logger } from '../../shared/process/log.js';
import {
  type JobPlace,
  type JobResult,
  type Keepable,
  keepJobResults,
  keepResults,
} from '../../shared/redis/kept-results.js';
import type { Keys } from '../../shared/redis/keys.js';
import { largeBytes, type Redis } from '../../shared/redis/redis.js';
import type { Item, Keeping } from '../../shared/wire/job.js';
import { packReplies, type Reply, unpackReplies } from '../../shared/wire/reply.js';
import { makeTryUntil } from './replies.js';

const resultErrors: ReadonlySet<ErrorCode> = new Set([
  'model_crashed',
  'model_failed',
  'inputs_refused',
  'model_output_mismatch',
  'result_too_large',
]);

type KeepingUntil = Keeping & Pick<Item, 'deadlineAt'> & { readonly jobId?: string };
type PlaceOf = (jobId: string) => JobPlace;

export interface Results {
  /** Finds the kept results of these items, by item id. Items without `keepMs` have none. */
  find(items: readonly Pick<Keeping, 'id' | 'keepMs'>[]): Promise<ReadonlyMap<string, Reply>>;
  /**
   * Keeps the replies to items with `keepMs`. Returns the replies to send, in the same order.
   * @param placeOf tells where a job is. With it, the results of a job that has expired are not kept
   */
  keep(
    items: readonly KeepingUntil[],
    replies: readonly Reply[],
    placeOf?: PlaceOf,
  ): Promise<readonly Reply[]>;
}

/** Makes the results of a queue, packed in the wire version of its jobs. */
export function makeResults(options: {
  wire?: number;
  redis: Redis;
  /** A connection for large results. By default, they take the other one. */
  carrier?: Redis;
  keys: Keys;
  log: Logger;
}): Results {
  const { wire, redis, carrier = redis, keys, log } = options;
  const tryUntil = makeTryUntil({ redis, log });

  /** Keeps each reply unless the item has one already. Returns the kept replies. */
  const keepFirst = async (packed: readonly PackedResult[]) => {
    const now = nowMs();
    const size = packed.reduce((sum, { bytes }) => sum + bytes.length, 0);
    const to = { redis: size > largeBytes ? carrier : redis, keys };
    const ofJobs = packed.filter(isOfJob);
    const others = packed.filter((each) => !isOfJob(each));
    const [earlier, earlierOfJobs] = await Promise.all([
      others.length > 0 ? keepResults(to, others, { now }) : [],
      ofJobs.length > 0 ? keepJobResults(to, ofJobs, now) : [],
    ]);
    return [...theKept(others, earlier), ...theKept(ofJobs, earlierOfJobs)];
  };

  /** Packs a reply, or the error that stands for a reply that is too large. */
  const pack = (reply: Reply, item: KeepingUntil, placeOf: PlaceOf | undefined): PackedResult => {
    const { id } = reply;
    const { keepMs = 0, keepFor, keepBytesMax, deadlineAt, jobId } = item;
    const isOfJob = keepBytesMax !== undefined && jobId !== undefined;
    const place = isOfJob ? placeOf?.(jobId) : undefined;
    const rest = { id, keepMs, keepFor, place, deadlineAt };
    const bytes = packReplies([reply], wire);
    if (keepBytesMax === undefined || bytes.length <= keepBytesMax) {
      return { ...rest, reply, bytes };
    }
    const refusal = tooLarge(id, bytes.length, keepBytesMax);
    return { ...rest, reply: refusal, bytes: packReplies([refusal], wire) };
  };

  return {
    async find(items) {
      const ids = items.filter((item) => item.keepMs !== undefined).map((item) => item.id);
      if (ids.length === 0) return none;
      const kept = await redis.mgetBuffer(...ids.map((id) => keys.result(id)));
      const found = kept.map(readKept).filter((reply) => reply !== undefined);
      return new Map(found.map((reply) => [reply.id, reply]));
    },

    async keep(items, replies, placeOf) {
      const packed = replies.flatMap((reply, at) => {
        const item = items[at];
        return item?.keepMs !== undefined && isResult(reply, item)
          ? [pack(reply, item, placeOf)]
          : [];
      });
      if (packed.length === 0) return replies;
      const deadlineAt = Math.max(...items.map((item) => item.deadlineAt));
      const first = await tryUntil(deadlineAt, packed.length, () => keepFirst(packed));
      const results = new Map(first?.map((reply) => [reply.id, reply]));
      return replies.map((reply) => results.get(reply.id) ?? reply);
    },
  };
}

/** A result on its way to Redis. */
interface PackedResult extends Keepable {
  readonly reply: Reply;
  /** Where the job of its item is, if it is that of a caller. */
  readonly place: JobPlace | undefined;
  readonly deadlineAt: number;
}

/** @param earlier what was kept before, for each result */
function theKept(
  packed: readonly PackedResult[],
  earlier: readonly (Buffer | null)[] | undefined,
): Reply[] {
  return packed.map(({ reply }, at) => readKept(earlier?.[at]) ?? reply);
}

function isOfJob(result: PackedResult): result is PackedResult & JobResult {
  return result.place !== undefined;
}

function tooLarge(id: string, bytes: number, bytesMax: number): Reply {
  const detail = `Expected a result of at most ${bytesMax} bytes; got ${bytes}. Ask for fewer classes or outputs, or send the request without asking for a later answer.`;
  return { id, error: { code: 'result_too_large', detail } };
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

function isResult(reply: Reply, { keepBytesMax }: Keeping): boolean {
  const isOfJob = keepBytesMax !== undefined;
  return isOfJob || 'outputs' in reply || resultErrors.has(reply.error.code);
}
