// The consumer of one queue takes jobs and gets each of their items answered.
//
// The jobs of each priority come from a line of their own, and share the batcher. A line holds its own jobs, so
// bulk jobs leave room for interactive ones, which wait in Redis no longer than without them.
//
// It joins four parts: held-jobs.ts (which jobs it has, and whether it takes more), unpacking.ts
// (from a job to its items), answering.ts (drop, run, reply) and suspects.ts (jobs for the
// quarantine).
//
// BullMQ and Redis are behind the queue. Processes and threads are behind the scorer and the
// quarantine. So a simulation can replace them all.

import { within } from '../../shared/process/within.js';
import { countRowsOf, rowsOfItem } from '../../shared/wire/item-id.js';
import {
  decodeJob,
  isUnreadable,
  type UnreadableJob,
  type WireJob,
} from '../../shared/wire/job.js';
import { type Priority, priorities } from '../../shared/wire/priority.js';
import { type Batcher, makeBatcher } from '../batch/batcher.js';
import { shapeKey } from '../batch/inputs/stack.js';
import { bulkEvery } from '../batch/turns.js';
import { NoCell, type Quarantine } from '../quarantine/quarantine.js';
import { type Answering, type HeldItem, runBatch } from './answering.js';
import { HeldJobs } from './held-jobs.js';
import { GivenBack, type TakenJob, type Taking, Unparsed } from './queue.js';
import { scoreSuspect, scoreSuspectHere, waitForCell } from './suspects.js';
import { hasPayload, refuseJob, unpackItems } from './unpacking.js';

/** How long to wait for the end of taking once nothing is held. Without Redis it never comes. */
const endMsMax = 800;

export interface Consumer {
  /**
   * Takes no more jobs, and resolves when all held jobs are done. After `graceMs`, unfinished jobs
   * are handed back to the queue. Resolves at most 1.6 s after that, with or without Redis.
   */
  close(graceMs: number): Promise<void>;
  /**
   * How long the oldest held job has been held; 0 if none is held. A bulk job waits for many interactive batches, so
   * it counts for the share of the time in which bulk has its turns.
   */
  heldMs(): number;
}

/** The parts that bulk items have of their own. */
export type BulkAnswering = Pick<Answering, 'queue' | 'sendReplies'>;

/**
 * Makes a consumer. `close` leaves the quarantine open, because a model's consumers share it.
 * @param options.bulk if undefined, no bulk jobs are taken
 */
export function makeConsumer(
  options: Answering & { quarantine: Quarantine; bulk?: BulkAnswering | undefined },
): Consumer {
  const { quarantine, bulk, ...interactive } = options;
  const { batch, device } = interactive.model.manifest;
  const answerings = { interactive, bulk: { ...interactive, ...bulk } };
  const batcher = makeBatcher<HeldItem>({
    ...batch,
    instances: device.instances,
    keyOf: ({ inputs }) => shapeKey(inputs),
    rowsOf: ({ id }) => rowsOfItem(id),
    run: (items, priority, onScored) => runBatch(answerings[priority], items, onScored),
  });
  const lines = priorities
    .filter((priority) => priority === 'interactive' || bulk)
    .map((priority) =>
      openLine({
        priority,
        answering: answerings[priority],
        quarantine,
        batcher,
        // A batch for each instance, and one that is next.
        rowsMax: (device.instances + 1) * batch.max,
      }),
    );

  return {
    heldMs: () =>
      Math.max(
        ...lines.map(({ held, priority }) =>
          priority === 'bulk' ? held.oldestMs() / bulkEvery : held.oldestMs(),
        ),
      ),
    close: async (graceMs) => {
      await Promise.all(lines.map((line) => closeLine(line, graceMs)));
    },
  };
}

/** The jobs of one priority, and the parts that work on them. */
interface Line {
  readonly priority: Priority;
  readonly answering: Answering;
  readonly quarantine: Quarantine;
  readonly batcher: Batcher<HeldItem>;
  readonly held: HeldJobs;
  readonly taking: Taking;
}

function openLine(options: Omit<Line, 'held' | 'taking'> & { rowsMax: number }): Line {
  const { rowsMax, ...parts } = options;
  const held = new HeldJobs({ rowsMax, setJobsMax: (jobs) => line.taking.setJobsMax(jobs) });
  const taking = parts.answering.queue.take({
    beforeTake: () => held.beforeTake(),
    process: (job) => processJob(line, job),
  });
  const line: Line = { ...parts, held, taking };
  return line;
}

async function closeLine({ answering, held, taking }: Line, graceMs: number): Promise<void> {
  const { model, log } = answering;
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
}

async function processJob(line: Line, job: TakenJob): Promise<void> {
  const { answering, held } = line;
  const decoded = decode(job);
  if (isUnreadable(decoded)) {
    return held.hold(job, decoded.items.length, () => refuseJob(answering, job, decoded));
  }
  await held.hold(job, countRowsOf(decoded.items), (isGivenBack) =>
    job.losses > 0 ? trySuspect(line, job, decoded, isGivenBack) : work(line, job, decoded),
  );
  if (hasPayload(decoded)) answering.queue.dropPayload(job.id);
}

function decode({ data }: TakenJob): WireJob | UnreadableJob {
  if (!(data instanceof Unparsed)) return decodeJob(data);
  return { replyTo: undefined, items: [], reason: `the job is not JSON: ${data.reason}` };
}

async function work(
  { answering, batcher, priority }: Line,
  job: TakenJob,
  wireJob: WireJob,
): Promise<void> {
  const items = await unpackItems(answering, job, wireJob);
  await Promise.all(items.map((item) => batcher.submit(item, priority)));
}

async function trySuspect(
  { answering, batcher, priority, quarantine }: Line,
  job: TakenJob,
  wireJob: WireJob,
  isGivenBack: () => boolean,
): Promise<void> {
  try {
    await scoreSuspect(answering, quarantine, job, { wireJob, isGivenBack });
  } catch (error) {
    if (!(error instanceof NoCell)) throw error;
    if (isGivenBack()) throw new GivenBack();
    if (error.isForFiles) {
      const score = (item: HeldItem) => batcher.submit(item, priority);
      return scoreSuspectHere(answering, job, { wireJob, score });
    }
    await waitForCell(answering, job, error);
    // If this fails, the lock was lost, and another worker has the job or will get it.
    if (!isGivenBack()) await job.giveBack().catch(() => {});
    throw new GivenBack();
  }
}
