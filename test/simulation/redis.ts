// A model of the parts of Redis that we use: BullMQ's queues, the reply streams, and a few other keys.
// Each method is one command and runs at once. The network (network.ts) decides when a command arrives,
// and whether its answer comes back.

import { nowMs } from '../../shared/clock.js';
import type { PackedJob } from '../../shared/wire/job.js';

export interface QueuedJob {
  readonly id: string;
  /** The job, parsed from its JSON. */
  readonly data: unknown;
  readonly itemIds: readonly string[];
  /** How often a worker took the job and did not finish it. */
  stalls: number;
  /** The lock of the worker that holds the job; undefined while it waits. */
  token: string | undefined;
}

export interface StreamEntry {
  readonly id: string;
  readonly fields: ReadonlyArray<string | Buffer>;
}

export type Redis = ReturnType<typeof makeRedis>;

export function makeRedis() {
  let isUp = true;
  let isFull = false;
  /** Increases each time that connections are lost. */
  let connection = 0;
  let losses = 0;
  let entries = 0;
  const jobs = new Map<string, QueuedJob>();
  const waiting = new Map<string, string[]>();
  const payloads = new Map<string, ReadonlyMap<string, Uint8Array>>();
  /** The deadlines of unanswered items, by queue and item id. */
  const unanswered = new Map<string, Map<string, number>>();
  let garble: ((job: PackedJob) => unknown) | undefined;
  const strikes = new Map<string, number>();
  const cancelled = new Set<string>();
  const streams = new Map<string, StreamEntry[]>();
  const texts = new Map<string, string>();
  const watchers = new Set<() => void>();

  /** Wakes everyone who waits for a job, a reply, or Redis itself. */
  const notify = () => {
    const woken = [...watchers];
    watchers.clear();
    for (const wake of woken) wake();
  };
  const lineOf = (queue: string) => {
    const line = waiting.get(queue) ?? [];
    waiting.set(queue, line);
    return line;
  };
  const mustHaveMemory = () => {
    if (isFull) throw new Error("OOM command not allowed when used memory > 'maxmemory'.");
  };
  const locked = (id: string, token: string): QueuedJob => {
    const job = jobs.get(id);
    if (!job) throw new Error(`Missing key for job ${id}.`);
    if (job.token !== token) throw new Error(`Missing lock for job ${id}.`);
    return job;
  };
  const putBack = (queue: string, job: QueuedJob) => {
    job.token = undefined;
    lineOf(queue).unshift(job.id);
    notify();
  };
  const append = (key: string, fields: StreamEntry['fields']): string => {
    const stream = streams.get(key) ?? [];
    streams.set(key, stream);
    const id = `${Math.floor(Date.now())}-${++entries}`;
    stream.push({ id, fields });
    notify();
    return id;
  };

  return {
    get isUp() {
      return isUp;
    },
    get connection() {
      return connection;
    },
    get losses() {
      return losses;
    },
    get jobs(): ReadonlyMap<string, QueuedJob> {
      return jobs;
    },
    /** Resolves at the next change that someone may wait for. */
    change: () =>
      new Promise<void>((resolve) => {
        watchers.add(resolve);
      }),
    notify,
    goAway() {
      isUp = false;
      connection++;
    },
    comeBack(options: { isEmpty: boolean }) {
      isUp = true;
      if (options.isEmpty) {
        losses++;
        for (const store of [jobs, waiting, payloads, strikes, cancelled, streams, unanswered])
          store.clear();
        texts.clear();
      }
      notify();
    },
    setFull(full: boolean) {
      isFull = full;
    },

    // BullMQ.
    add(
      queue: string,
      id: string,
      added: {
        job: PackedJob;
        payload: ReadonlyMap<string, Uint8Array>;
      },
    ) {
      mustHaveMemory();
      const { job, payload } = added;
      payloads.set(id, payload);
      const data = JSON.parse(JSON.stringify(garble ? garble(job) : job));
      garble = undefined;
      const itemIds = job.items.map((item) => item.id);
      jobs.set(id, { id, data, itemIds, stalls: 0, token: undefined });
      lineOf(queue).push(id);
      notify();
    },
    /** Damages the next job that is added. Without an argument, no job is damaged. */
    garbleNext(how?: (job: PackedJob) => unknown) {
      garble = how;
    },
    count(queue: string, items: readonly (readonly [id: string, deadlineAt: number])[]) {
      mustHaveMemory();
      unanswered.set(queue, new Map([...(unanswered.get(queue) ?? []), ...items]));
    },
    countUnanswered(queue: string): number {
      const items = unanswered.get(queue) ?? new Map<string, number>();
      for (const [id, deadlineAt] of items) if (deadlineAt <= nowMs()) items.delete(id);
      return items.size;
    },
    isUnanswered: (queue: string, itemId: string) => unanswered.get(queue)?.has(itemId) ?? false,
    answer(queue: string, itemIds: readonly string[]) {
      for (const id of itemIds) unanswered.get(queue)?.delete(id);
    },
    hasWaiting: (queue: string) => lineOf(queue).length > 0,
    countJobs: () => jobs.size,
    take(queue: string, token: string): QueuedJob | undefined {
      const job = jobs.get(lineOf(queue).shift() ?? '');
      if (!job) return undefined;
      job.token = token;
      return { ...job };
    },
    finish(id: string, token: string) {
      mustHaveMemory();
      locked(id, token);
      jobs.delete(id);
    },
    giveBack(queue: string, id: string, token: string) {
      putBack(queue, locked(id, token));
    },
    /** Moves a job with an expired lock back to the queue. */
    stall(queue: string, id: string, token: string) {
      const job = jobs.get(id);
      if (job?.token !== token) return;
      job.stalls++;
      putBack(queue, job);
    },

    // Payloads and other keys.
    readPayload(id: string, fields: readonly string[]): ReadonlyMap<string, Uint8Array> {
      const payload = payloads.get(id);
      return new Map([...(payload ?? [])].filter(([field]) => fields.includes(field)));
    },
    dropPayload: (id: string) => void payloads.delete(id),
    cancel(queue: string, itemId: string) {
      cancelled.add(itemId);
      unanswered.get(queue)?.delete(itemId);
    },
    isCancelled: (itemId: string) => cancelled.has(itemId),
    addStrike(itemId: string): number {
      mustHaveMemory();
      const count = (strikes.get(itemId) ?? 0) + 1;
      strikes.set(itemId, count);
      return count;
    },
    clearStrikes: (itemId: string) => void strikes.delete(itemId),

    get: (key: string) => texts.get(key) ?? null,
    setIfAbsent(key: string, text: string) {
      mustHaveMemory();
      if (!texts.has(key)) texts.set(key, text);
    },

    // Reply streams.
    xadd(key: string, options: { creates: boolean }, fields: StreamEntry['fields']): string | null {
      mustHaveMemory();
      return streams.has(key) || options.creates ? append(key, fields) : null;
    },
    xread(key: string, lastId: string): readonly StreamEntry[] {
      return (streams.get(key) ?? []).filter((entry) => isAfter(entry.id, lastId));
    },
    xtrim(key: string, minId: string) {
      const kept = streams.get(key)?.filter((entry) => !isAfter(minId, entry.id));
      if (kept) streams.set(key, kept);
    },
    exists: (key: string) => streams.has(key),
    unlink: (key: string) => void streams.delete(key),
  };
}

function isAfter(id: string, other: string): boolean {
  const [ms = 0, sequence = 0] = id.split('-').map(Number);
  const [otherMs = 0, otherSequence = 0] = other.split('-').map(Number);
  return ms > otherMs || (ms === otherMs && sequence > otherSequence);
}
