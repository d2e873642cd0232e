// The jobs that a consumer holds.
//
// A job is *held* from the moment it was taken until every item of it was answered or dropped; only
// then is it completed. So a worker that dies leaves its jobs in the queue, and BullMQ gives
// them to another one. Two jobs are held, or, where they are small, as many as have the items of two
// batches: one is worked on and one is next, and other workers find work too.
//
// A held job can come back: while Redis was away its lock ran out. Then the work goes on once. A
// job that was held by a worker that died is *suspect*; suspects wait for the quarantine, not for
// the engine, so they have their own share of the room.

import { setTimeout as delay } from 'node:timers/promises';
import { GivenBack, type TakenJob } from './queue.js';
import { within } from './within.js';

/** How long a worker with one job waits for it to be done before it looks for another. */
const firstJobMsMax = 2;
/** Jobs that are held however many items they have. */
const jobsMin = 2;
/** How many finished jobs are remembered, in case one comes back. */
const finishedJobsMax = 1000;
/** How long Redis has to take a job back. Without it, the lock runs out instead. */
const giveBackMsMax = 800;

interface HeldJob {
  readonly isSuspect: boolean;
  readonly items: number;
  /** Rejects with `GivenBack` when the job was given back. */
  readonly done: Promise<void>;
  giveBack(): Promise<void>;
}

export class HeldJobs {
  readonly #itemsMax: number;
  readonly #setJobsMax: (jobs: number) => void;
  readonly #held = new Map<string, HeldJob>();
  readonly #finished = new Set<string>();
  #isClosing = false;
  /** Those who wait until nothing is held. */
  readonly #onEmpty: (() => void)[] = [];

  constructor(options: {
    /** Room for further jobs ends with so many items. */
    itemsMax: number;
    /** Told how many jobs may be in process from now on. */
    setJobsMax: (jobs: number) => void;
  }) {
    this.#itemsMax = options.itemsMax;
    this.#setJobsMax = options.setJobsMax;
  }

  get size(): number {
    return this.#held.size;
  }

  /**
   * Holds a job of so many items while it is worked on. Resolves when the work is done, or was done
   * before. `isGivenBack` tells whether the work is any use still.
   * @throws GivenBack when the job was given back meanwhile, or is not taken any more
   */
  async hold(
    job: TakenJob,
    items: number,
    work: (isGivenBack: () => boolean) => Promise<void>,
  ): Promise<void> {
    const { id } = job;
    if (this.#finished.has(id)) return;
    // It was on its way here when taking ended.
    if (this.#isClosing) {
      await job.giveBack();
      throw new GivenBack();
    }
    const known = this.#held.get(id);
    if (known) return known.done;

    // The room must be settled before the first `await`: BullMQ looks for the next job in this tick.
    const held = startWork(job, items, work);
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
   * After an idle worker has taken a job, looking for the next one costs it the time in which it
   * could answer the first: measured as 0.5 ms of the median at one client. So it looks when that
   * job is done, or when it takes so long that more work can gather.
   */
  async beforeTake(): Promise<void> {
    const [only, ...others] = this.#held.values();
    const isIdle = others.length === 0 && only?.items === 1;
    if (isIdle) await Promise.race([only.done, delay(firstJobMsMax)]);
  }

  /** From now on, jobs that are still on their way are given back; so are the suspects. */
  async startClosing(): Promise<void> {
    this.#isClosing = true;
    const suspects = [...this.#held.values()].filter(({ isSuspect }) => isSuspect);
    await Promise.all(suspects.map((held) => held.giveBack()));
  }

  /** Gives everything back that is not done. */
  async giveBackAll(): Promise<void> {
    await Promise.all([...this.#held.values()].map((held) => held.giveBack()));
  }

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
    let items = 0;
    for (const held of this.#held.values()) {
      if (held.isSuspect !== isSuspect) continue;
      jobs++;
      items += held.items;
    }
    return jobs < jobsMin || items < this.#itemsMax;
  }

  #remember(jobId: string): void {
    this.#finished.add(jobId);
    if (this.#finished.size <= finishedJobsMax) return;
    this.#finished.delete(this.#finished.values().next().value as string);
  }
}

function startWork(
  job: TakenJob,
  items: number,
  work: (isGivenBack: () => boolean) => Promise<void>,
): HeldJob {
  let isGivenBack = false;
  let release = () => {};
  const givenBack = new Promise<never>((_resolve, reject) => {
    release = () => reject(new GivenBack());
  });
  return {
    isSuspect: job.isSuspect,
    items,
    done: Promise.race([work(() => isGivenBack), givenBack]),
    giveBack: async () => {
      isGivenBack = true;
      await within(job.giveBack(), giveBackMsMax);
      // Where the lock was lost meanwhile, somebody else has the job, or will.
      release();
    },
  };
}
