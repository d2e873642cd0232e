// A model of BullMQ's worker, as far as it matters to the consumer. It takes jobs one after the other
// while it may, and takes the next job with the command that finishes one. It can lose locks, and can
// get the same job twice.

import type { Model } from '../../shared/registry/models.js';
import {
  GivenBack,
  type TakenJob,
  type TakeOptions,
  type Taking,
} from '../../worker/queue/queue.js';
import type { QueuedJob } from './redis.js';
import type { WorkerContext } from './worker.js';

export interface JobInProcess {
  readonly isSuspect: boolean;
  readonly items: number;
}

export function makeTaking({ world, process, locks, stallLater }: WorkerContext, model: Model) {
  const { redis, network } = world;
  const { queue } = model;
  const inProcess = new Map<string, JobInProcess>();
  let jobsMax = 1;
  /** How many jobs are in process or on their way here. */
  let total = 0;
  let isLooking = false;
  let isClosing = false;
  let tokens = 0;
  let options: TakeOptions;

  const mayTakeNext = () => total <= jobsMax && !isClosing;

  const take = (token: string) => {
    const job = redis.take(queue, token);
    if (job) {
      locks.set(token, { queue, id: job.id });
      world.onTake(job);
    }
    return job;
  };

  const takeNext = async (token: string) => {
    if (!(await options.beforeTake().catch(() => true))) return undefined;
    // If the answer is lost, the job is locked but no worker has it.
    return network.consume(
      process,
      'take',
      () => take(token),
      () => void stallLater(token),
    );
  };

  const look = async () => {
    if (isLooking || isClosing || total >= jobsMax || !process.isAlive) return;
    isLooking = true;
    total++;
    while (!isClosing && !redis.hasWaiting(queue)) await redis.change();
    if (!process.isAlive) return;
    const token = `${process.name}:${queue}:${tokens++}`;
    const job = isClosing ? undefined : await takeNext(token);
    isLooking = false;
    total--;
    goOnWith(job, token);
  };

  const goOnWith = (job: QueuedJob | undefined, token: string) => {
    if (job) void run(job, token);
    else redis.notify();
    void look();
  };

  const run = async (job: QueuedJob, token: string) => {
    total++;
    const next = (await isDone(job, token)) ? await finish(job, token) : await leave(job, token);
    total--;
    goOnWith(next, token);
  };

  const isDone = async (job: QueuedJob, token: string): Promise<boolean> => {
    const taken = takenJob(job, token);
    const entry = { isSuspect: taken.losses > 0, items: job.itemIds.length };
    inProcess.set(job.id, inProcess.get(job.id) ?? entry);
    try {
      await options.process(taken);
      return true;
    } catch (error) {
      if (!(error instanceof GivenBack)) world.onRejected(error as Error);
      return false;
    } finally {
      inProcess.delete(job.id);
    }
  };

  /** Finishes a job and takes the next one with the same command. */
  const finish = async (job: QueuedJob, token: string): Promise<QueuedJob | undefined> => {
    const takesNext = mayTakeNext();
    const command = () => {
      redis.finish(job.id, token);
      locks.delete(token);
      return takesNext ? take(token) : undefined;
    };
    try {
      return await network.consume(process, `finish ${job.id}`, command, () => {
        void stallLater(token);
      });
    } catch {
      await fail(job, token);
      return undefined;
    }
  };

  /** Fails a job that could not be finished. If that fails as well, the job stalls. */
  const fail = async (job: QueuedJob, token: string) => {
    try {
      await network.consume(process, `fail ${job.id}`, () => redis.finish(job.id, token));
      locks.delete(token);
    } catch {
      void stallLater(token);
    }
  };

  /** Stops renewing the lock of a job that was given back or will be tried again. */
  const leave = async (job: QueuedJob, token: string): Promise<QueuedJob | undefined> => {
    if (redis.jobs.get(job.id)?.token === token) void stallLater(token);
    return mayTakeNext() ? takeNext(token) : undefined;
  };

  const takenJob = (job: QueuedJob, token: string): TakenJob => ({
    id: job.id,
    data: job.data,
    losses: job.stalls,
    giveBack: async () => {
      // Running commands go on, and may outlive their worker.
      world.onCutOff();
      await network.consume(process, `give ${job.id} back`, () =>
        redis.giveBack(queue, job.id, token),
      );
      locks.delete(token);
    },
  });

  return {
    inProcess: inProcess as ReadonlyMap<string, JobInProcess>,
    jobsMax: () => jobsMax,
    take(given: TakeOptions): Taking {
      options = given;
      void Promise.resolve().then(look);
      return {
        setJobsMax: (jobs) => {
          jobsMax = jobs;
          void look();
        },
        close: async () => {
          isClosing = true;
          redis.notify();
          while (total > 0) await redis.change();
        },
      };
    },
  };
}
