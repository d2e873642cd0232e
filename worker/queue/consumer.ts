// The consumer of one queue takes jobs and gets each of their items answered.
//
// It joins four parts: held-jobs.ts (which jobs it has, and whether it takes more), unpacking.ts
// (from a job to its items), answering.ts (drop, run, reply) and suspects.ts (jobs for the
// quarantine).
//
// BullMQ and Redis are behind the queue. Processes and threads are behind the scorer and the
// quarantine. So a simulation can replace them all.

import { countRowsOf, rowsOfItem } from '../../shared/item-id.js';
import { decodeJob, isUnreadable, type UnreadableJob, type WireJob } from '../../shared/job.js';
import { type Batcher, makeBatcher } from '../batch/batcher.js';
import { shapeKey } from '../batch/stack.js';
import { NoCell, type Quarantine } from '../quarantine/quarantine.js';
import { type Answering, type HeldItem, runBatch } from './answering.js';
import { HeldJobs } from './held-jobs.js';
import { GivenBack, type TakenJob, Unparsed } from './queue.js';
import { scoreSuspect, waitForCell } from './suspects.js';
import { hasPayload, refuseJob, unpackItems } from './unpacking.js';
import { within } from './within.js';

/** How long to wait for the end of taking once nothing is held. Without Redis it never comes. */
const endMsMax = 800;

export interface Consumer {
  /**
   * Takes no more jobs, and resolves when all held jobs are done. After `graceMs`, unfinished jobs
   * are handed back to the queue. Resolves at most 1.6 s after that, with or without Redis.
   */
  close(graceMs: number): Promise<void>;
  /** How long the oldest held job has been held; 0 if none is held. */
  heldMs(): number;
}

/** Makes a consumer. `close` leaves the quarantine open, because a model's consumers share it. */
export function makeConsumer(options: Answering & { quarantine: Quarantine }): Consumer {
  const { quarantine, ...answering } = options;
  const { model, queue, log } = answering;
  const { batch } = model.manifest;
  const batcher = makeBatcher<HeldItem>({
    ...batch,
    keyOf: ({ inputs }) => shapeKey(inputs),
    rowsOf: ({ id }) => rowsOfItem(id),
    run: (items) => runBatch(answering, items),
  });
  const held = new HeldJobs({
    rowsMax: 2 * batch.max,
    setJobsMax: (jobs) => taking.setJobsMax(jobs),
  });
  const parts: ConsumerParts = { answering, quarantine, batcher, held };
  const taking = queue.take({
    beforeTake: () => held.beforeTake(),
    process: (job) => processJob(parts, job),
  });

  return {
    heldMs: () => held.oldestMs(),
    close: async (graceMs) => {
      const suspectsBack = held.startClosing();
      const closed = taking.close();
      await suspectsBack;
      const handBack = setTimeout(() => {
        log.warn({ model: model.name, jobs: held.size }, 'handing back what is not done');
        answering.events?.happened('handedBack', held.size);
        void held.giveBackAll();
      }, graceMs);
      await held.untilEmpty();
      clearTimeout(handBack);
      await within(closed, endMsMax);
    },
  };
}

/** The parts that work on a consumer's jobs. */
interface ConsumerParts {
  readonly answering: Answering;
  readonly quarantine: Quarantine;
  readonly batcher: Batcher<HeldItem>;
  readonly held: HeldJobs;
}

async function processJob(parts: ConsumerParts, job: TakenJob): Promise<void> {
  const { answering, held } = parts;
  const decoded = decode(job);
  if (isUnreadable(decoded)) {
    return held.hold(job, decoded.items.length, () => refuseJob(answering, job, decoded));
  }
  await held.hold(job, countRowsOf(decoded.items), (isGivenBack) =>
    job.isSuspect ? trySuspect(parts, job, decoded, isGivenBack) : work(parts, job, decoded),
  );
  if (hasPayload(decoded)) answering.queue.dropPayload(job.id);
}

function decode({ data }: TakenJob): WireJob | UnreadableJob {
  if (!(data instanceof Unparsed)) return decodeJob(data);
  return { replyTo: undefined, items: [], reason: `the job is not JSON: ${data.reason}` };
}

async function work(
  { answering, batcher }: ConsumerParts,
  job: TakenJob,
  wireJob: WireJob,
): Promise<void> {
  const items = await unpackItems(answering, job, wireJob);
  await Promise.all(items.map((item) => batcher.submit(item)));
}

async function trySuspect(
  { answering, quarantine }: ConsumerParts,
  job: TakenJob,
  wireJob: WireJob,
  isGivenBack: () => boolean,
): Promise<void> {
  try {
    await scoreSuspect(answering, quarantine, job, { wireJob, isGivenBack });
  } catch (error) {
    if (!(error instanceof NoCell)) throw error;
    if (isGivenBack()) throw new GivenBack();
    await waitForCell(answering, job, error);
    // If this fails, the lock was lost, and another worker has the job or will get it.
    if (!isGivenBack()) await job.giveBack().catch(() => {});
    throw new GivenBack();
  }
}
