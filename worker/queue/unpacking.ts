// Unpacking: from a job out of the queue to the items that have to be scored. An item that cannot be
// read fails alone; a job that cannot be read fails once, for those who wait for it.

import { nowMs } from '../../shared/clock.js';
import { ScorelineError } from '../../shared/errors.js';
import {
  joinItem,
  payloadFields,
  type UnreadableJob,
  type WireItem,
  type WireJob,
} from '../../shared/job.js';
import type { Reply } from '../../shared/reply.js';
import { type Answering, count, dropAbandoned, type HeldItem, lastDeadline } from './answering.js';
import type { TakenJob } from './queue.js';

/** How long Redis is tried with the refusal of a job whose deadlines nobody can read. */
const refusalMsMax = 5000;

/**
 * The items of a job that somebody waits for and that have to be scored. Those whose results are
 * kept, and those that cannot be read, are answered.
 */
export async function unpackItems(
  answering: Answering,
  { id: jobId }: TakenJob,
  { replyTo, items: all }: WireJob,
): Promise<HeldItem[]> {
  const { queue, kept } = answering;
  const takenAt = nowMs();
  const submittedAt = all[0]?.submittedAt ?? takenAt;
  const items = await dropAbandoned(answering, all, { now: takenAt, lookedAt: submittedAt });
  const fields = payloadFields(items);
  const [payload, known] = await Promise.all([
    fields.length > 0 ? queue.readPayload(jobId, fields) : nothing,
    kept.find(items),
  ]);
  const errors: Reply[] = [];
  const whole: HeldItem[] = [];
  for (const wireItem of items) {
    if (known.has(wireItem.id)) continue;
    const item = join(wireItem, payload, errors);
    // A spread takes ten times as long: 4 µs an item.
    if (item) whole.push(Object.assign(item, { replyTo, takenAt }));
  }
  await answerAtOnce(answering, replyTo, items, [...known.values(), ...errors]);
  return whole;
}

/** Whether something lies beside the job that is of no use after it. */
export function hasPayload({ items }: WireJob): boolean {
  return items.some(({ inputs }) => inputs.some(({ data }) => data === null));
}

/** Answers those who wait for a job that cannot be read. The job is done with that. */
export async function refuseJob(
  answering: Answering,
  { id }: TakenJob,
  { replyTo, ids, reason }: UnreadableJob,
): Promise<void> {
  const { model, sendReplies, log } = answering;
  log.error({ model: model.name, job: id, items: ids.length, reason }, 'a job cannot be read');
  count(answering, 'unreadable', 1);
  if (replyTo === undefined || ids.length === 0) return;
  const detail = `API and worker do not understand each other: ${reason}`;
  const error = { code: 'wire_mismatch', detail } as const;
  await sendReplies(
    new Map([[replyTo, ids.map((item) => ({ id: item, error }))]]),
    nowMs() + refusalMsMax,
  );
}

const nothing: ReadonlyMap<string, Uint8Array> = new Map();

/** An item with its tensors; undefined where it has outlived its deadline, or is refused. */
function join(item: WireItem, payload: ReadonlyMap<string, Uint8Array>, errors: Reply[]) {
  try {
    return joinItem(item, payload);
  } catch (thrown) {
    if (!(thrown instanceof ScorelineError)) throw thrown;
    errors.push({ id: item.id, error: { code: thrown.code, detail: thrown.message } });
    return undefined;
  }
}

async function answerAtOnce(
  { model, sendReplies, log }: Answering,
  replyTo: string,
  items: readonly WireItem[],
  replies: readonly Reply[],
): Promise<void> {
  if (replies.length === 0) return;
  log.debug({ model: model.name, items: replies.length }, 'answered without being scored');
  await sendReplies(new Map([[replyTo, replies]]), lastDeadline(items));
}
