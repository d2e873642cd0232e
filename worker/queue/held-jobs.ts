// The jobs that a consumer holds.
//
// A job is *held* from the moment it is taken until each of its items has been answered or dropped.
// Only then is it completed. So a worker that dies leaves its jobs in the queue, and BullMQ gives
// them to another worker.
//
// A consumer holds two jobs, or more small ones until they have the rows of two batches. So one is
// worked on, one is next, and other workers find work too.
//
// A held job can be delivered again, if its lock ran out while Redis was away. A redelivered job
// joins the work already running. A job whose worker died is *suspect*. Suspects wait for the
// quarantine and not for the engine, so they have their own share of the room.

import { within } from '../../shared/process/within.js';
import { GivenBack, type TakenJob } from './queue.js';

/** How long a worker with one job of one row waits for it before it looks for another. */
const firstJobMsMax = 2;
/** This many jobs may be held whatever their size. */
const jobsMin = 2;
/** How many finished jobs are remembered, in case one is delivered again. */
const finishedJobsMax = 1000;
/** How long to wait for Redis to take a job back. If it does not, the lock runs out. */
const giveBackMsMax = 800;

interface HeldJob {
  readonly isSuspect: boolean;
  readonly rows: number;
  /** By the clock of `performance`. */
  readonly since: number;
  /** Resolves when the work is done. Rejects with `GivenBack` if the job is given back first. */
  readonly done: Promise<void>;
  giveBack(): Promise<void>;
}

/** The jobs that a consumer holds, and the limit on them. */
export class HeldJobs {
  readonly #rowsMax: number;
  readonly #setJobsMax: (jobs: number) => void;
  readonly #held = new Map<string, HeldJob>();
  readonly #finished = new Set<string>();
  #isClosing = false;
  /** Called when nothing is held. */
  readonly #onEmpty: (() => void)[] = [];

  constructor(options: {
    /** With this many rows held, only the first two jobs are taken. */
    rowsMax: number;
    /** Called with the number of jobs that may be in process from now on. */
    setJobsMax: (jobs: number) => void;
  }) {
    this.#rowsMax = options.rowsMax;
    this.#setJobsMax = options.setJobsMax;
  }

  get size(): number {
    return this.#held.size;
  }

  /** How long the oldest job has been held; 0 if none is held. */
  oldestMs(): number {
    // A map keeps the order in which jobs came.
    const [oldest] = this.#held.values();
    return oldest ? performance.now() - oldest.since : 0;
  }

  /**
   * Holds a job of `rows` rows while `work` runs. Resolves when the work is done, or at once if
   * it was done before. Once `isGivenBack` returns true, the work is of no use.
   * @throws GivenBack if the job was given back meanwhile, or came after closing began
   */
  async hold(
    job: TakenJob,
    rows: number,
    work: (isGivenBack: () => boolean) => Promise<void>,
  ): Promise<void> {
    const { id } = job;
    if (this.#finished.has(id)) return;
    // The job was on its way when taking ended.
    if (this.#isClosing) {
      await job.giveBack();
      throw new GivenBack();
    }
    const known = this.#held.get(id);
    if (known) return known.done;

    // Settle the room before the first `await`, because BullMQ looks for the next job in this tick.
    const held = startWork(job, rows, work);
    this.#held.set(id, held);
    this.#settleRoom();
    try {
      await held.done;
      this.#remember(id);
    } finally {
      this.#held.delete(id);
      this.#settleRoom();
      if (this.#held.size === 0) for (const resolve of this.#onEmpty.splice(0)) resolve();
    }
  }

  /**
   * Delays the look for the next job, and resolves to whether it is still of use. For an idle worker, that look
   * delays the answer to its first job: measured as 0.5 ms of the median at one client. If that job is done
   * within 2 ms, its end asks for the next one, in one command. Otherwise the worker looks or waits after 2 ms, when
   * more work may have gathered.
   */
  async beforeTake(): Promise<boolean> {
    const [only, ...others] = this.#held.values();
    const isIdle = others.length === 0 && only?.rows === 1;
    if (!isIdle) return true;
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, firstJobMsMax, true);
      const end = (isOfUse: boolean) => {
        clearTimeout(timer);
        resolve(isOfUse);
      };
      only.done.then(
        () => end(false),
        () => end(true),
      );
    });
  }

  /** Gives back the suspects now, and from now on every job that still arrives. */
  async startClosing(): Promise<void> {
    this.#isClosing = true;
    const suspects = [...this.#held.values()].filter(({ isSuspect }) => isSuspect);
    await Promise.all(suspects.map((held) => held.giveBack()));
  }

  /** Gives back all unfinished jobs. */
  async giveBackAll(): Promise<void> {
    await Promise.all([...this.#held.values()].map((held) => held.giveBack()));
  }

  /** Resolves when nothing is held. */
  async untilEmpty(): Promise<void> {
    if (this.#held.size === 0) return;
    await new Promise<void>((resolve) => this.#onEmpty.push(resolve));
  }

  #settleRoom(): void {
    const hasRoom = this.#hasRoomFor(true) && this.#hasRoomFor(false);
    this.#setJobsMax(Math.max(1, hasRoom ? this.#held.size + 1 : this.#held.size));
  }

  #hasRoomFor(isSuspect: boolean): boolean {
    let jobs = 0;
    let rows = 0;
    for (const held of this.#held.values()) {
      if (held.isSuspect !== isSuspect) continue;
      jobs++;
      rows += held.rows;
    }
    return jobs < jobsMin || rows < this.#rowsMax;
  }

  #remember(jobId: string): void {
    this.#finished.add(jobId);
    if (this.#finished.size <= finishedJobsMax) return;
    this.#finished.delete(this.#finished.values().next().value as string);
  }
}

function startWork(
  job: TakenJob,
  rows: number,
  work: (isGivenBack: () => boolean) => Promise<void>,
): HeldJob {
  let isGivenBack = false;
  let release = () => {};
  const givenBack = new Promise<never>((_resolve, reject) => {
    release = () => reject(new GivenBack());
  });
  return {
    isSuspect: job.losses > 0,
    rows,
    since: performance.now(),
    done: Promise.race([work(() => isGivenBack), givenBack]),
    giveBack: async () => {
      isGivenBack = true;
      await within(job.giveBack(), giveBackMsMax);
      // If Redis did not take it, another worker has the job, or will once the lock runs out.
      release();
    },
  };
}
