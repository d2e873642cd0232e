// BullMQ, seen from a worker. This is the one place that leans on what BullMQ does inside, beyond
// its documentation; test/integration/bullmq.test.ts has a test for each of these:
//
// 1. `moveToActive` is called whenever the worker looks for a job by itself.
// 2. `createJob` is where the data of a job is parsed, and an error there leaves the job locked to
//    nobody: it stalls, and goes through the workers one after the other.
// 3. The processor is called in the same tick in which the worker goes on looking for jobs. So a
//    `concurrency` that the processor sets before its first `await` already holds.
// 4. `concurrency` can be set at any time, and counts from the next look for a job.
// 5. A `WaitingError` leaves the job as it is, active and locked, until its lock runs out. Any
//    other error takes the job out of the queue.
// 6. `stalledCounter` counts how often the job was taken from a worker that had lost its lock.
// 7. `moveToWait` with the token of the lock gives the job back, and is no stall.
// 8. `close` ends the wait for a job, and waits for the jobs in process and for their end in Redis.
//    Without Redis it never resolves.

// biome-ignore lint/style/noRestrictedImports: this file is the door to BullMQ on this side.
import { Worker as BullWorker, type Job, type JobJson, WaitingError } from 'bullmq';
import { coerceError } from '../../shared/errors.js';
import { type Logger, makeSeldom } from '../../shared/log.js';
import { explain, type Redis } from '../../shared/redis.js';
import { GivenBack, type TakenJob, type TakeOptions, type Taking, Unparsed } from './queue.js';

export interface TakingOptions extends TakeOptions {
  readonly name: string;
  readonly redis: Redis;
  readonly prefix: string;
  readonly log: Logger;
}

/** Takes jobs from a queue until it is closed. */
export function takeJobs(options: TakingOptions): Taking {
  const { name, log } = options;
  const bull = new PatientWorker(options);
  const warn = makeSeldom((fields, message) => log.warn(fields, message));
  bull.on('error', (error) => warn({ queue: name, ...explain(error) }, 'queue error'));
  bull.on('failed', (job, error) => log.error({ job: job?.id, err: error }, 'a job failed'));
  return {
    setJobsMax: (jobs) => {
      bull.concurrency = jobs;
    },
    close: () => bull.close(),
  };
}

/** Does something before it looks for a job, and takes jobs that cannot be parsed too. */
class PatientWorker extends BullWorker<unknown, void> {
  readonly #beforeTake: () => Promise<void>;

  constructor({ name, redis, prefix, log, process, beforeTake }: TakingOptions) {
    const work = async (job: Job<unknown>, token?: string) => {
      try {
        await process(taken(job, token));
      } catch (error) {
        if (!(error instanceof GivenBack)) {
          log.error({ job: job.id, err: error }, 'a job was not done; it is tried again');
        }
        throw new WaitingError();
      }
    };
    super(name, work, {
      connection: redis,
      prefix,
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
    this.#beforeTake = beforeTake;
  }

  protected override async moveToActive(token: string, name?: string) {
    await this.#beforeTake().catch(() => {});
    return super.moveToActive(token, name);
  }

  protected override createJob(json: JobJson, jobId: string): Job<unknown> {
    try {
      return super.createJob(json, jobId);
    } catch (thrown) {
      const job = super.createJob({ ...json, data: 'null' }, jobId);
      job.data = new Unparsed(coerceError(thrown).message);
      return job;
    }
  }
}

function taken(job: Job<unknown>, token?: string): TakenJob {
  return {
    id: job.id as string,
    data: job.data,
    isSuspect: job.stalledCounter > 0,
    giveBack: async () => {
      await job.moveToWait(token);
    },
  };
}
