// Scores a deferred call: queues its items as a job, and waits for as long as the client does.
//
// The items are those of a request with an `Idempotency-Key`, so their results are kept, and a repeat of the
// request has the same job. Without a key, the id of the call takes its place.
//
// The order matters: first the results are claimed, then the items are queued, then the record is written, and
// then the client is told. A process that dies on the way leaves a job that nobody knows. So what a
// client knows of is in Redis as a whole.

import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { nowMs } from '../../shared/clock.js';
import type { Item } from '../../shared/job.js';
import type { TraceContext } from '../../shared/telemetry/telemetry.js';
import type { Tensor } from '../../shared/tensors.js';
import { shareOf } from '../access/caller.js';
import type { Call, Calls } from '../call.js';
import { deadlineExceeded } from '../deadline.js';
import { type Deferral, Deferred } from '../deferral.js';
import type { OutputWish } from '../queue/dispatcher.js';
import type { Queue } from '../queue/queue.js';
import type { ScoredReply } from '../queue/waiters.js';
import type { Identity } from '../repeat/identity.js';
import { type KeptReplies, keyReused, type Results } from '../repeat/results.js';
import type { PendingWebhooks } from '../webhooks/pending-webhooks.js';
import type { JobEnds } from './job-ends.js';
import type { JobRecord } from './job-record.js';
import { isPending, type JobState } from './job-states.js';
import type { JobStore } from './job-store.js';
import type { Jobs } from './jobs.js';

/** A call whose inputs are prepared. */
export interface DeferredWork {
  readonly deferral: Deferral;
  readonly identity: Identity;
  /** The tensors of each input. Emptied once they are on their way. */
  readonly prepared: (readonly Tensor[])[];
  readonly wish: OutputWish;
}

export interface Deferring {
  /**
   * Resolves with one reply for each input if they come while the client waits.
   * @throws Deferred with the job if they do not; ScorelineError of a failed item, `idempotency_key_reused`,
   * `overloaded`, `queue_unavailable`
   */
  score(call: Call, work: DeferredWork): Promise<readonly ScoredReply[]>;
}

export function makeDeferring(options: {
  /** This API instance. */
  instance: string;
  calls: Pick<Calls, 'isShuttingDown'>;
  queue: Pick<Queue, 'add'>;
  results: Pick<Results, 'claim' | 'lengthen' | 'release'>;
  store: JobStore;
  jobs: Jobs;
  ends: Pick<JobEnds, 'expect' | 'begin'>;
  webhooks: Pick<PendingWebhooks, 'requireRoom'>;
  resultBytesMax: number;
}): Deferring {
  const { instance, calls, queue, results, store, jobs, ends, webhooks, resultBytesMax } = options;

  const makeItem = (
    record: JobRecord,
    index: number,
    work: DeferredWork,
    trace: TraceContext | undefined,
  ): Item => ({
    id: record.items[index] as string,
    submittedAt: nowMs(),
    deadlineAt: record.deadlineAt,
    inputs: work.prepared[index] ?? [],
    ...work.wish,
    keepMs: record.keepMs,
    keepFor: shareOf(record.caller),
    keepBytesMax: resultBytesMax,
    trace,
  });

  /** Queues the items without a result, and then records the job. Returns whether there were such items. */
  const submit = async (
    record: JobRecord,
    work: DeferredWork,
    { kept, isListed }: { kept: KeptReplies; isListed: boolean },
    trace: TraceContext | undefined,
  ) => {
    const missing = record.items.flatMap((_, index) =>
      kept.replies[index] === undefined ? [makeItem(record, index, work, trace)] : [],
    );
    try {
      if (!isListed) await store.requireRoom(record.caller);
      await results.lengthen(work.identity, kept.replies, record.keepMs);
      if (record.webhook !== undefined) {
        ends.expect(
          record,
          missing.map(({ id }) => id),
          nowMs(),
        );
      }
      if (missing.length > 0) {
        const { queued: id, priority } = record;
        await queue.add(record.queue, { replyTo: instance, items: missing }, { id, priority });
      }
      await store.add(record);
      if (record.webhook !== undefined) ends.begin(record);
      return missing.length > 0;
    } catch (error) {
      if (kept.isNew) results.release(work.identity);
      throw error;
    }
  };

  /**
   * Returns the job of an earlier request with the same key.
   * @throws ScorelineError `idempotency_key_reused` if its answer has another form
   */
  const findEarlier = async (record: JobRecord, kept: KeptReplies) => {
    if (kept.isNew) return undefined;
    const job = await store.find(record.caller, record.id);
    if (!job) return undefined;
    if (!isDeepStrictEqual(job.form, record.form)) throw keyReused();
    return { job, state: await jobs.read(job) };
  };

  return {
    async score(call, work) {
      const { identity, deferral } = work;
      const record = makeRecord(call, work);
      if (record.webhook !== undefined) await webhooks.requireRoom(record.webhook);
      const kept = await results.claim(identity, record.deadlineAt, record.keepMs);
      const listed = await findEarlier(record, kept);
      const earlier = listed?.state.state === 'expired' ? undefined : listed;
      const isListed = listed !== undefined;
      const waits =
        !earlier && (await submit(record, work, { kept, isListed }, call.trace?.context));
      call.dropBody();
      work.prepared.length = 0;
      const job = earlier?.job ?? record;
      if (deferral.waitMs === 0) {
        const { state } = earlier?.state ?? (waits ? { state: 'queued' } : await jobs.read(job));
        throw new Deferred(job, state);
      }
      const hasLeft = () => call.ending.reason !== undefined || calls.isShuttingDown;
      const state = await jobs.read(job, deferral.waitMs, hasLeft);
      if (isPending(state)) throw new Deferred(job, state.state);
      call.isReplayed = earlier !== undefined;
      return repliesOf(state);
    },
  };
}

function makeRecord(call: Call, { identity, deferral }: DeferredWork): JobRecord {
  const { model, priority, caller } = call;
  const [first = ''] = identity.ids;
  return {
    // The id of the first item, without the number of its rows.
    id: first.split('*', 1)[0] as string,
    caller: caller.id,
    model: model.name,
    version: model.version,
    queue: model.queue,
    priority,
    queued: randomUUID(),
    items: [...identity.ids],
    submittedAt: nowMs(),
    deadlineAt: deferral.deadlineAt,
    keepMs: model.manifest.jobs.keepMs,
    form: deferral.form,
    ...(deferral.webhook !== undefined && { webhook: deferral.webhook }),
  };
}

function repliesOf(state: JobState): readonly ScoredReply[] {
  if ('replies' in state) return state.replies;
  throw 'error' in state ? state.error : deadlineExceeded('scoring');
}
