// The queue of one model, seen from a worker: BullMQ, and what lies beside its jobs in Redis.

import { Worker as BullWorker, type Job, WaitingError, type WorkerOptions } from 'bullmq';
import type { CountName, Keys } from '../../shared/keys.js';
import { type Logger, makeSeldom } from '../../shared/log.js';
import { explain, type Redis } from '../../shared/redis.js';
import type { BatchJob } from '../../shared/wire.js';

const strikesTimeToLiveMs = 3_600_000;

export interface TakenJob extends BatchJob {
  readonly id: string;
  /** It was taken before, and its worker did not finish it. */
  readonly isSuspect: boolean;
  /** Gives the job back, for another worker; `process` is then to reject with `GivenBack`. */
  giveBack(): Promise<void>;
}

export class GivenBack extends Error {
  override readonly name = 'GivenBack';
}

export interface TakeOptions {
  /** Called before the queue is asked for a job; it is asked when this resolves. */
  beforeTake(): Promise<void>;
  /**
   * A job is locked until this resolves, and then done. When this rejects, the job is tried again
   * once its lock has run out. The same job can come again.
   */
  process(job: TakenJob): Promise<void>;
}

export interface Taking {
  /** How many jobs may be in process at a time; 1 at first. */
  setJobsMax(jobs: number): void;
  /** Takes no more, and resolves when nothing is in process. */
  close(): Promise<void>;
}

export interface Queue {
  take(options: TakeOptions): Taking;
  /** The binary inputs of these items, in order; null where it is gone. */
  readInputs(jobId: string, itemIds: readonly string[]): Promise<readonly (Uint8Array | null)[]>;
  dropInputs(jobId: string): void;
  /** Whether nobody waits for these items any more. */
  readCancelled(itemIds: readonly string[]): Promise<readonly boolean[]>;
  count(what: CountName, items: number): void;
  /** How often this item was about to be tried alone, with this time. */
  addStrike(jobId: string, itemId: string): Promise<number>;
  clearStrikes(jobId: string, itemId: string): Promise<void>;
}

export function makeQueue(options: { name: string; redis: Redis; keys: Keys; log: Logger }): Queue {
  const { name, redis, keys, log } = options;

  return {
    take({ beforeTake, process }) {
      const work = async (job: Job<BatchJob>, token?: string) => {
        try {
          await process(taken(job, token));
        } catch (error) {
          if (!(error instanceof GivenBack))
            log.error({ job: job.id, err: error }, 'a job was not done; it is tried again');
          // BullMQ leaves such a job alone; a job that failed it would take out of the queue.
          throw new WaitingError();
        }
      };
      const bull = new PatientWorker(name, work, beforeTake, {
        connection: redis,
        prefix: keys.prefix,
        concurrency: 1,
        // The batch of a worker that was killed starts elsewhere after 0.8 to 1.6 s (measured).
        lockDuration: 1000,
        stalledInterval: 250,
        // A job is announced to one waiting worker. When that one dies just then, or stands still,
        // the others find the job when they look again by themselves.
        drainDelay: 1,
        // Deadlines and strikes end a job, not the number of workers that died around it.
        maxStalledCount: 1_000_000,
        runRetryDelay: 200,
        removeOnComplete: { count: 0 },
        removeOnFail: { count: 0 },
      });
      const warn = makeSeldom((fields, message) => log.warn(fields, message));
      bull.on('error', (error) => warn({ queue: name, ...explain(error) }, 'queue error'));
      bull.on('failed', (job, error) => log.error({ job: job?.id, err: error }, 'a job failed'));
      return {
        setJobsMax: (jobs) => {
          bull.concurrency = jobs;
        },
        close: () => bull.close(),
      };
    },
    readInputs: (jobId, itemIds) => redis.hmgetBuffer(keys.payload(jobId), ...itemIds),
    dropInputs(jobId) {
      // Not awaited: a payload that stays behind goes away by its time to live.
      redis.unlink(keys.payload(jobId)).catch(() => {});
    },
    async readCancelled(itemIds) {
      const deadlines = await redis.zmscore(keys.cancelled(name), ...itemIds);
      return deadlines.map((deadline) => deadline !== null);
    },
    count(what, items) {
      redis.hincrby(keys.counts(name), what, items).catch(() => {});
    },
    async addStrike(jobId, itemId) {
      const strikes = await redis.hincrby(keys.strikes(jobId), itemId, 1);
      await redis.pexpire(keys.strikes(jobId), strikesTimeToLiveMs);
      return strikes;
    },
    async clearStrikes(jobId, itemId) {
      await redis.hdel(keys.strikes(jobId), itemId);
    },
  };
}

function taken(job: Job<BatchJob>, token?: string): TakenJob {
  return {
    id: job.id as string,
    replyTo: job.data.replyTo,
    items: job.data.items,
    isSuspect: job.stalledCounter > 0,
    giveBack: async () => {
      await job.moveToWait(token);
    },
  };
}

/** Does something before it looks for a job. */
class PatientWorker extends BullWorker<BatchJob, void> {
  readonly #beforeTake: () => Promise<void>;

  constructor(
    name: string,
    process: (job: Job<BatchJob>, token?: string) => Promise<void>,
    beforeTake: () => Promise<void>,
    options: WorkerOptions,
  ) {
    super(name, process, options);
    this.#beforeTake = beforeTake;
  }

  protected override async moveToActive(token: string, name?: string) {
    await this.#beforeTake().catch(() => {});
    return super.moveToActive(token, name);
  }
}
