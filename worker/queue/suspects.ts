// Suspects: jobs that a worker took and did not finish. They are scored in quarantine, batch by
// batch. If a batch ends the process, its items are scored one by one.
//
// The quarantine shares the memory limit of its worker's container. Where the kernel ends the whole container, as
// Kubernetes has it, a worker that tries too large a batch is lost with it. So the items of a job that two workers have
// lost are scored one by one at once, and their strikes end it.

import { setTimeout as delay } from 'node:timers/promises';
import { nowMs } from '../../shared/clock.js';
import { countRowsOf, rowsOfItem } from '../../shared/wire/item-id.js';
import type { WireJob } from '../../shared/wire/job.js';
import { shapeKey } from '../batch/inputs/stack.js';
import type { Scored } from '../batch/scorer.js';
import { type Cell, modelCrashed, type NoCell, type Quarantine } from '../quarantine/quarantine.js';
import { type Answering, answer, count, dropLate, type HeldItem } from './answering.js';
import { GivenBack, type TakenJob } from './queue.js';
import { unpackItems } from './unpacking.js';

/** How often a worker may die while an item is tried alone, before the item is blamed. */
const strikesMax = 3;
/** How long a worker without a process for a suspect keeps it before it gives it back. */
const noCellDelayMs = 1000;

/** The trial of a suspect job in the quarantine's cell. */
interface Trial extends Answering {
  readonly job: TakenJob;
  readonly cell: Cell;
  readonly isGivenBack: () => boolean;
}

/**
 * Scores a suspect job in quarantine, when the quarantine is free.
 * @throws NoCell if there is no process for it; then no item is to blame
 * @throws GivenBack once the job was given back
 */
export async function scoreSuspect(
  answering: Answering,
  quarantine: Quarantine,
  job: TakenJob,
  { wireJob, isGivenBack }: { wireJob: WireJob; isGivenBack: () => boolean },
): Promise<void> {
  const { model, log } = answering;
  await quarantine.inTurn(async (cell) => {
    if (isGivenBack()) throw new GivenBack();
    const items = await unpackSuspect(answering, job, wireJob);
    if (items.length === 0) return;
    const fields = { model: model.name, job: job.id, items: items.length, losses: job.losses };
    log.warn(fields, 'a job is in quarantine');
    answering.events?.happened('recovered');
    const trial: Trial = { ...answering, job, cell, isGivenBack };
    for (const batch of batchesOf(items, model.manifest.batch.max)) await tryTogether(trial, batch);
  });
}

/**
 * Scores a suspect job in the worker itself, item by item, where the files of its model are gone or changed. An item that
 * ends its worker again and again is blamed, as it is in quarantine.
 */
export async function scoreSuspectHere(
  answering: Answering,
  job: TakenJob,
  { wireJob, score }: { wireJob: WireJob; score: (item: HeldItem) => Promise<void> },
): Promise<void> {
  const { model, log, queue } = answering;
  const items = await unpackSuspect(answering, job, wireJob);
  if (items.length === 0) return;
  log.warn(
    { model: model.name, job: job.id, items: items.length },
    'a job is tried without quarantine',
  );
  answering.events?.happened('recovered');
  for (const item of items) {
    const strikes = await queue.addStrike(job.id, item.id);
    if (strikes <= strikesMax) await score(item);
    else await answerSuspects(answering, [item], undefined, nowMs());
    await queue.clearStrikes(job.id, item.id);
  }
}

/**
 * Logs that a suspect could not be tried, and waits 1 s before the caller gives it back. The job is
 * not to blame, and another worker may have a process for it. Its items end at their deadlines at
 * the latest.
 */
export async function waitForCell(answering: Answering, job: TakenJob, error: NoCell) {
  const { model, log } = answering;
  log.error({ model: model.name, job: job.id, err: error }, 'a job cannot be tried in quarantine');
  await delay(noCellDelayMs);
}

/**
 * Returns the items of a suspect job that must be scored. The worker that had the job before may have answered some.
 * An item whose result is kept may be in more than one job, so `unpackItems` has looked for its result instead.
 */
async function unpackSuspect(
  answering: Answering,
  job: TakenJob,
  wireJob: WireJob,
): Promise<HeldItem[]> {
  const items = await unpackItems(answering, job, wireJob);
  if (items.length === 0) return items;
  // If Redis cannot tell, assume that all are unanswered.
  const ids = items.map(({ id }) => id);
  const unanswered = await answering.queue.readUnanswered(ids).catch(() => []);
  return items.filter(({ keepMs }, at) => keepMs !== undefined || unanswered[at] !== false);
}

/** Divides items into batches of up to `max` rows that can share a run, and keeps their order. */
function batchesOf(items: readonly HeldItem[], max: number): HeldItem[][] {
  const batches: HeldItem[][] = [];
  const open = new Map<string, HeldItem[]>();
  for (const item of items) {
    const key = shapeKey(item.inputs);
    const batch = open.get(key);
    if (batch && countRowsOf(batch) + rowsOfItem(item.id) <= max) {
      batch.push(item);
    } else {
      const next = [item];
      open.set(key, next);
      batches.push(next);
    }
  }
  return batches;
}

async function openCell({ cell, isGivenBack }: Trial): Promise<void> {
  if (isGivenBack()) throw new GivenBack();
  await cell.open();
}

async function tryTogether(trial: Trial, batch: readonly HeldItem[]): Promise<void> {
  await openCell(trial);
  const startedAt = nowMs();
  const items = dropLate(trial, batch, startedAt);
  if (items.length === 0) return;
  if (trial.job.losses === 1) {
    const results = await trial.cell.score(items);
    if (results) return answerSuspects(trial, items, results, startedAt);
    trial.events?.crashed(items);
  }
  for (const item of items) await tryAlone(trial, item);
}

async function tryAlone(trial: Trial, item: HeldItem): Promise<void> {
  const { cell, job, queue } = trial;
  await openCell(trial);
  const strikes = await queue.addStrike(job.id, item.id);
  try {
    const startedAt = nowMs();
    if (dropLate(trial, [item], startedAt).length === 0) return;
    const isTried = strikes <= strikesMax;
    const results = isTried ? await cell.score([item]) : undefined;
    if (isTried && !results) trial.events?.crashed([item]);
    await answerSuspects(trial, [item], results, startedAt);
  } finally {
    // This worker lives, whatever came of it.
    await queue.clearStrikes(job.id, item.id);
  }
}

/** Without results, the items have ended their process, and no run has ended. */
async function answerSuspects(
  answering: Answering,
  items: readonly HeldItem[],
  results: readonly Scored[] | undefined,
  startedAt: number,
): Promise<void> {
  const run = { startedAt, computeMs: nowMs() - startedAt, batchSize: countRowsOf(items) };
  if (results) answering.events?.ran(items, run);
  else count(answering, 'crashed', items.length);
  await answer(answering, items, results ?? items.map(() => modelCrashed), run);
}
