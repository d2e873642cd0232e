// BullMQ, seen from a worker. Only this file and marker.ts rely on BullMQ's undocumented behaviour.
// test/integration/bullmq.test.ts has a test for each of these facts:
//
// 1. The worker calls `moveToActive` each time it looks for a job by itself.
// 2. `createJob` parses the data of a job. If it throws, no worker holds the job's lock: the job
//    stalls, and goes from one worker to the next.
// 3. The worker calls the processor in the tick in which it decides whether to look for more jobs.
//    So if the processor sets `concurrency` before its first `await`, it already holds.
// 4. `concurrency` can be set at any time, and holds from the next look for a job.
// 5. A `WaitingError` leaves the job active and locked until its lock runs out. Any other error
//    removes the job from the queue.
// 6. `stalledCounter` counts how often the job was taken from a worker that had lost its lock.
// 7. `moveToWait` with the lock's token gives the job back, and does not count as a stall.
// 8. If Redis refuses `moveToActive`, the worker calls it again at once, and again.
// 9. `close` stops waiting for a job. It resolves when the jobs in process are done and Redis has
//    recorded that. Without Redis it never resolves.
// 10. The end of a job asks for the next one in the same command, if no more jobs are in process or
//    looked for than `concurrency` says. A look may be left out: no marker was taken for
//    it.
// 11. The worker waits for a job by the backend's `waitForJob`, on a connection of its own, and then
//    calls `moveToActive`. A look that was sent behind the wait on that connection is made when the
//    wait ends. The token of `moveToActive` is the one that locks the job.
// 12. When a queue or a worker is opened, it asks for the version of Redis, once, unless `skipVersionCheck` is set. If
//    that fails, it adds or takes no job ever after.

import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
// biome-ignore lint/style/noRestrictedImports: this file is the door to BullMQ on this side.
import type { BackendFactory, Job, JobJson } from 'bullmq';
// biome-ignore lint/style/noRestrictedImports: as above.
import { Worker as BullWorker, createRedisBackend, RedisQueueBackend, WaitingError } from 'bullmq';
import { coerceError } from '../../shared/errors.js';
import { type Logger, makeSeldom } from '../../shared/process/log.js';
import { explain, type Redis } from '../../shared/redis/redis.js';
import { leaveNoMarker } from './marker.js';
import { GivenBack, type TakenJob, type TakeOptions, type Taking, Unparsed } from './queue.js';

const retryAfterMs = 200;
/** What `moveToActive` resolves to when there is no job. BullMQ's type does not know. */
const noJob = undefined as never;

/** How to take jobs from the queue `name`, through BullMQ. */
export interface TakingOptions extends TakeOptions {
  readonly name: string;
  readonly redis: Redis;
  readonly prefix: string;
  /** How often jobs are looked for whose worker has died. */
  readonly stalledEveryMs?: number;
  readonly log: Logger;
}

/** Takes jobs from a queue until it is closed. */
export function takeJobs(options: TakingOptions): Taking {
  const { name, log } = options;
  const bull = new PatientWorker(options);
  const warn = makeSeldom(log);
  bull.on('error', (error) => {
    // While Redis is away, its connection says so.
    if (options.redis.status === 'ready') warn({ queue: name, ...explain(error) }, 'queue error');
  });
  bull.on('failed', (job, error) => log.error({ job: job?.id, err: error }, 'a job failed'));
  return {
    setJobsMax: (jobs) => {
      bull.concurrency = jobs;
    },
    close: () => bull.close(),
  };
}

/**
 * Looks for a job behind each wait for one, and calls `beforeTake` before it looks in another way or waits beside a job.
 * Also takes jobs that cannot be parsed.
 */
class PatientWorker extends BullWorker<unknown, void> {
  readonly #beforeTake: () => Promise<boolean>;
  readonly #looks: LooksBehind;
  /** Whether a job was taken after the last look that was not behind a wait. */
  #hasTaken = false;

  constructor(options: TakingOptions) {
    const { name, redis, prefix, stalledEveryMs = 250, log, process, beforeTake } = options;
    const complain = makeSeldom(log, 'error');
    const work = async (job: Job<unknown>, token?: string) => {
      try {
        await process(taken(job, token));
      } catch (error) {
        if (!(error instanceof GivenBack)) {
          complain({ job: job.id, err: error }, 'a job was not done; it is tried again');
        }
        throw new WaitingError();
      }
    };
    const looks = new LooksBehind();
    const settings = {
      connection: redis,
      prefix,
      concurrency: 1,
      // We have checked it, and BullMQ would ask only once.
      skipVersionCheck: true,
      // With these, a killed worker's batch starts elsewhere after 0.8 to 1.6 s (measured).
      lockDuration: 1000,
      stalledInterval: stalledEveryMs,
      // In seconds. BullMQ announces a job to only one waiting worker. If that worker dies or hangs
      // just then, the others find the job when they look by themselves.
      drainDelay: 1,
      // Never reached: deadlines and strikes end a job, however many of its workers have died.
      maxStalledCount: 1_000_000,
      runRetryDelay: retryAfterMs,
      removeOnComplete: { count: 0 },
      removeOnFail: { count: 0 },
    };
    super(name, work, settings, looks.makeBackend);
    this.#looks = looks;
    this.#beforeTake = beforeTake;
  }

  protected override async moveToActive(token: string, name?: string) {
    const { token: behind } = this.#looks;
    if (behind !== undefined) return this.#move(behind, name);
    if (!(await this.#beforeTake().catch(() => true))) return noJob;
    if (!this.#hasTaken) return this.#move(token, name);
    this.#hasTaken = false;
    // If more jobs wait, the marker is there, and the look behind the wait finds one at once.
    return this.nextJobFromJobData();
  }

  async #move(token: string, name: string | undefined) {
    try {
      return await super.moveToActive(token, name);
    } catch (error) {
      await delay(retryAfterMs);
      throw error;
    }
  }

  protected override createJob(json: JobJson, jobId: string): Job<unknown> {
    this.#hasTaken = true;
    try {
      return super.createJob(json, jobId);
    } catch (thrown) {
      const job = super.createJob({ ...json, data: 'null' }, jobId);
      job.data = new Unparsed(coerceError(thrown).message);
      return job;
    }
  }
}

/** A look for a job, and the token that locks the job it finds. */
interface Look {
  readonly token: string;
  readonly found: ReturnType<RedisQueueBackend['moveToActive']>;
}

/**
 * Sends a look for a job behind each wait for one, so Redis answers both at once. Otherwise the worker would
 * look only when it has been told that there is a job, which takes another round trip.
 *
 * If the wait fails, its look is of no use. If that took a job, the job is found when its lock runs out.
 */
class LooksBehind {
  readonly #id = randomUUID();
  #looks = 0;
  #last: Look | undefined;

  /** The token of the look behind the last wait; undefined once its result was taken. */
  get token(): string | undefined {
    return this.#last?.token;
  }

  readonly makeBackend: BackendFactory<RedisQueueBackend> = (name, options, kind) => {
    const backend = createRedisBackend(name, options, kind);
    const { blockingConnection, keys } = backend;
    if (!blockingConnection) throw new Error('BullMQ waits in another way. This is a bug.');
    const toKey = (type: string) => backend.toKey(type);
    const behind = new RedisQueueBackend(
      blockingConnection,
      ...([name, keys, toKey, options, undefined, false] as const),
    );
    for (const each of [backend, behind]) leaveNoMarker(each);
    const waitForJob = backend.waitForJob.bind(backend);
    const moveToActive = backend.moveToActive.bind(backend);
    backend.waitForJob = (seconds) => {
      const waited = waitForJob(seconds);
      const token = `${this.#id}:${this.#looks++}`;
      const found = behind.moveToActive(token);
      this.#last = { token, found };
      found.catch(() => {});
      waited.catch(() => {
        this.#last = undefined;
      });
      return waited;
    };
    backend.moveToActive = (token, workerName) => {
      const last = this.#last;
      if (last?.token !== token) return moveToActive(token, workerName);
      this.#last = undefined;
      return last.found;
    };
    return backend;
  };
}

function taken(job: Job<unknown>, token?: string): TakenJob {
  return {
    id: job.id as string,
    data: job.data,
    losses: job.stalledCounter,
    giveBack: async () => {
      await job.moveToWait(token);
    },
  };
}
