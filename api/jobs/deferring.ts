// Scores a deferred call: queues its items as a job, and waits for as long as the client does.
//
// The items are those of a request with an `Idempotency-Key`, so their results are kept, and a repeat of the
// request has the same job. Without a key, the id of the call takes its place.
//
// The order matters: first the results are claimed, then the items are queued, then the record is written, and
// then the client is told. A process that dies on the way leaves a job that nobody knows. So what a
// client knows of is in Redis as a whole.

import { randomUUID } from 'node:crypto';
import { nowMs } from '../../shared/clock.js';
import { ScorelineError } from '../../shared/errors.js';
import type { TraceContext } from '../../shared/telemetry/telemetry.js';
import { countBytes } from '../../shared/tensors/tensors.js';
import type { Item, OutputWish } from '../../shared/wire/job.js';
import type { ScoredReply } from '../../shared/wire/reply.js';
import { shareOf } from '../access/caller.js';
import type { Admission } from '../admission/admission.js';
import type { Call } from '../call/call.js';
import type { Calls } from '../call/calls.js';
import { deadlineExceeded } from '../call/deadline.js';
import { type Deferral, Deferred } from '../call/deferral.js';
import type { Prepared } from '../kinds/kind.js';
import { type Queue, queueLost } from '../queue/queue.js';
import type { Identity } from '../repeat/identity.js';
import { type KeptReplies, keyReused, type Results } from '../repeat/results.js';
import { Turns } from '../turns.js';
import type { PendingWebhooks } from '../webhooks/pending-webhooks.js';
import type { JobEnds } from './job-ends.js';
import { hasSameForm, type JobRecord } from './job-record.js';
import { isPending, type JobState } from './job-states.js';
import type { JobStore } from './job-store.js';
import type { Jobs } from './jobs.js';

/** How many jobs are on their way to Redis at a time at most, and how many bytes of inputs they have. */
const addsMax = 8;
const addBytesMax = 2 * 1024 * 1024;

export interface DeferredWork {
  readonly deferral: Deferral;
  readonly identity: Identity;
  /** Makes the tensors of each input. It is called once, unless there is a job already. */
  prepare(): Promise<Prepared>;
  /** Lets go of the inputs, so they can be collected while the answer is awaited. */
  drop(): void;
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
  admission: Pick<Admission, 'holdJob'>;
  calls: Pick<Calls, 'admit' | 'isShuttingDown'>;
  queue: Pick<Queue, 'add'>;
  results: Pick<Results, 'claim' | 'lengthen' | 'release'>;
  store: JobStore;
  jobs: Jobs;
  ends: Pick<JobEnds, 'expect' | 'begin' | 'forget'>;
  webhooks: Pick<PendingWebhooks, 'requireRoom'>;
  resultBytesMax: number;
}): Deferring {
  const { instance, admission, calls, queue, results } = options;
  const { store, jobs, ends, webhooks, resultBytesMax } = options;

  // All commands share a connection, and those behind many large inputs would be given up as unanswered.
  const turns = new Turns({ max: addsMax, bytesMax: addBytesMax });
  const inOrder = makeInOrder();

  const makeItem = (
    record: JobRecord,
    index: number,
    { wish, inputs }: Pick<DeferredWork, 'wish'> & { inputs: Prepared },
    trace: TraceContext | undefined,
  ): Item => ({
    id: record.items[index] as string,
    submittedAt: nowMs(),
    deadlineAt: record.deadlineAt,
    inputs: inputs[index] ?? [],
    ...wish,
    keepMs: record.keepMs,
    keepFor: shareOf(record.caller),
    keepBytesMax: resultBytesMax,
    trace,
  });

  /**
   * Queues the items without a result, and then records the job. Returns the job, which another instance may have
   * recorded meanwhile, and whether there were such items.
   */
  const submit = async (
    record: JobRecord,
    work: DeferredWork,
    { kept, expired }: { kept: KeptReplies; expired: JobRecord | undefined },
    call: Call,
  ) => {
    const { trace, ending, model } = call;
    const aim = { queue: model.queue, batchMax: model.manifest.batch.max };
    let hasPlace = false;
    try {
      // A call without a permit may only have what is there already.
      calls.admit(call);
      const inputs = await work.prepare();
      call.enter('scoring');
      const missing = record.items.flatMap((_, index) =>
        kept.replies[index] === undefined
          ? [makeItem(record, index, { ...work, inputs }, trace?.context)]
          : [],
      );
      await webhooks.requireRoom(record);
      if (!expired) {
        await store.takePlace(record);
        hasPlace = true;
      }
      await results.lengthen(work.identity, kept.replies, record.keepMs);
      const { queued: id, priority } = record;
      const ids = missing.map((item) => item.id);
      ends.expect(record, ids, nowMs(), () => admission.holdJob({ ...aim, priority }));
      if (missing.length > 0) {
        const send = () =>
          queue.add(record.queue, { replyTo: instance, items: missing }, { id, priority });
        await turns
          .take(send, {
            signal: ending.signal,
            bytes: countBytes(missing.flatMap(({ inputs }) => inputs)),
          })
          .catch((error) => {
            ends.forget(ids);
            throw error;
          });
      }
      const job = await store.add(record, expired);
      if (record.webhook !== undefined) ends.begin(job);
      return { job, waits: missing.length > 0 && job === record };
    } catch (error) {
      if (hasPlace) store.giveBackPlace(record);
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
    if (!hasSameForm(job, record)) throw keyReused();
    return { job, state: await jobs.read(job) };
  };

  /** Finds the job of a call, or makes it. */
  const open = async (call: Call, work: DeferredWork) => {
    const record = makeRecord(call, work);
    const kept = await results.claim(work.identity, record.deadlineAt, record.keepMs);
    const listed = await findEarlier(record, kept);
    if (listed && listed.state.state !== 'expired') return { ...listed, isEarlier: true };
    const { job, waits } = await submit(record, work, { kept, expired: listed?.job }, call);
    if (job !== record && !hasSameForm(job, record)) throw keyReused();
    const state: JobState | undefined = waits ? { state: 'queued' } : undefined;
    return { job, state, isEarlier: false };
  };

  return {
    async score(call, work) {
      const { identity, deferral } = work;
      const { job, state, isEarlier } = await inOrder(identity.ids[0] as string, () =>
        open(call, work),
      );
      work.drop();
      call.dropBody();
      if (deferral.waitMs === 0) throw new Deferred(job, (state ?? (await jobs.read(job))).state);
      const hasLeft = () => call.ending.reason !== undefined || calls.isShuttingDown;
      const end = await jobs.read(job, deferral.waitMs, hasLeft).catch((error) => {
        if (!(error instanceof ScorelineError)) throw error;
        // Redis is away. The job is there, so the client must learn of it.
        throw new Deferred(job, state?.state ?? 'queued');
      });
      if (isPending(end)) throw new Deferred(job, end.state);
      call.isReplayed = isEarlier;
      return repliesOf(end, job);
    },
  };
}

/** Makes a function that does the work of one name one after the other, so a request and its repeats make one job. */
function makeInOrder(): <T>(name: string, work: () => Promise<T>) => Promise<T> {
  const last = new Map<string, Promise<unknown>>();
  return async (name, work) => {
    const before = last.get(name);
    const mine = before ? before.then(work, work) : work();
    last.set(name, mine);
    try {
      return await mine;
    } finally {
      if (last.get(name) === mine) last.delete(name);
    }
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
    deadlineAt: deferral.jobDeadlineAt,
    keepMs: model.manifest.jobs.keepMs,
    form: deferral.form,
    ...(deferral.webhook !== undefined && { webhook: deferral.webhook }),
  };
}

function repliesOf(state: JobState, { deadlineAt }: JobRecord): readonly ScoredReply[] {
  if ('replies' in state) return state.replies;
  if ('error' in state) throw state.error;
  throw nowMs() < deadlineAt ? queueLost() : deadlineExceeded('scoring');
}
