// The dispatcher and the replies under every order of events: fast-check decides which of the
// things that could happen next does.

import fc, { type Scheduler } from 'fast-check';
import { expect, test, vi } from 'vitest';
import { makeDispatcher, type Ticket } from '../../api/dispatcher.js';
import { makeReplies } from '../../api/replies.js';
import { type BatchJob, nowMs, type Reply } from '../../shared/contract.js';
import { ScorelineError } from '../../shared/errors.js';
import { everythingDone, stopClock } from './clock.js';
import { makeSampleModel } from './sample-model.js';

const timing = { queueMs: 1, batchMs: 0, computeMs: 2, batchSize: 1 };
const names = ['first', 'second'] as const;

/** What is to happen to one item. */
const plan = fc.record({
  model: fc.constantFrom(...names),
  binary: fc.boolean(),
  deadlineMs: fc.constantFrom(5, 40, 1000),
  cancelled: fc.constantFrom(false, false, true),
  answer: fc.constantFrom('scores', 'scores', 'twice', 'error', 'none', 'unknown'),
});
type Plan = typeof plan extends fc.Arbitrary<infer P> ? P : never;

const scenario = fc.record({
  batchMax: fc.integer({ min: 1, max: 4 }),
  plans: fc.array(plan, { minLength: 1, maxLength: 12 }),
  /** Which of the adds are rejected, in their order. */
  rejections: fc.array(fc.boolean(), { maxLength: 8 }),
  ticksMs: fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 4 }),
});
type Scenario = typeof scenario extends fc.Arbitrary<infer S> ? S : never;

interface Sent {
  readonly ticket: Ticket;
  readonly plan: Plan;
  readonly outcomes: unknown[];
  jobs: number;
  addRejected: boolean;
  /** Replies and failures that found the waiter. */
  settled: number;
}

async function live(scheduler: Scheduler, { batchMax, plans, rejections, ticksMs }: Scenario) {
  const models = names.map((name) => makeSampleModel({ name, batch: { max: batchMax } }));
  const replies = makeReplies({ isQueueAway: () => false });
  const sent = new Map<string, Sent>();
  const inFlight = new Map<string, number>();
  const faults: string[] = [];
  let adds = 0;

  const must = (holds: boolean, what: string) => {
    if (!holds) faults.push(what);
  };
  const later = (what: string, action: () => void) =>
    void scheduler.schedule(Promise.resolve(), what).then(action);

  /** The item's number as a worker reads it: from the text, or from the bytes beside the job. */
  const numberOf = (item: BatchJob['items'][number], payload: ReadonlyMap<string, Buffer>) =>
    item.text === undefined ? (payload.get(item.id)?.readUInt8() ?? -1) : Number(item.text);

  const answer = (reply: Reply) => {
    const found = replies.settle(reply);
    const entry = sent.get(reply.id);
    must(!found || entry !== undefined, 'a reply to an unknown item found somebody');
    if (found && entry) entry.settled++;
  };

  const work = (item: BatchJob['items'][number], number: number) => {
    const scores: Reply = { id: item.id, scores: [[number, 1]], timing };
    const failure: Reply = { id: item.id, error: { code: 'model_failed', detail: 'It failed.' } };
    const answers = {
      scores: [scores],
      twice: [scores, scores],
      error: [failure, scores],
      none: [],
      unknown: [{ ...scores, id: `unknown-${number}` }, scores],
    };
    for (const reply of answers[plans[number]?.answer ?? 'none']) {
      later(`reply to ${number}`, () => answer(reply));
    }
  };

  const add = async (
    queue: string,
    job: BatchJob,
    payload: ReadonlyMap<string, Buffer>,
  ): Promise<void> => {
    const rejected = rejections[adds++] ?? false;
    inFlight.set(queue, (inFlight.get(queue) ?? 0) + 1);
    must(inFlight.get(queue) === 1, 'two adds of one model are in flight');
    must(job.items.length > 0 && job.items.length <= 4 * batchMax, 'the job has a wrong size');
    for (const item of job.items) {
      const number = numberOf(item, payload);
      must(replies.isExpected(item.id), `nobody waits for ${number}, which is sent`);
      must(queue === `${plans[number]?.model}@1`, `${number} is in another model's job`);
      must(payload.has(item.id) === plans[number]?.binary, `${number} has a wrong form`);
      // A job whose add fails may be in the queue all the same, and may be answered.
      work(item, number);
      // Noted after this turn: the first item is sent before its ticket is handed out.
      queueMicrotask(() => {
        const entry = sent.get(item.id);
        if (!entry) return void faults.push(`${number} was never submitted`);
        entry.jobs++;
        entry.addRejected ||= rejected;
      });
    }
    await scheduler.schedule(Promise.resolve(), `add to ${queue}`);
    inFlight.set(queue, 0);
    if (!rejected) return;
    // Those that came meanwhile are refused with it.
    for (const entry of sent.values()) {
      entry.addRejected ||= `${entry.plan.model}@1` === queue && entry.jobs === 0;
    }
    throw new ScorelineError('queue_unavailable', 'Redis is away.');
  };

  const dispatcher = makeDispatcher({
    lingerMs: 0,
    instance: 'api-1',
    replies,
    queue: { add, cancel: async () => {} },
  });
  const submit = (plan: Plan, number: number) => {
    const model = models.find(({ name }) => name === plan.model) as (typeof models)[number];
    const input = plan.binary ? { bytes: Buffer.from([number]) } : { text: String(number) };
    const deadlineAt = nowMs() + plan.deadlineMs;
    const ticket = dispatcher.submit({ model, input, top: 1, deadlineAt });
    const outcomes: unknown[] = [];
    const entry: Sent = { ticket, plan, outcomes, jobs: 0, addRejected: false, settled: 0 };
    sent.set(ticket.id, entry);
    ticket.reply.then(
      (reply) => outcomes.push(reply.id === ticket.id ? reply.scores[0]?.[0] : 'another’s'),
      (error: ScorelineError) => outcomes.push(error.code),
    );
    if (plan.cancelled) later(`cancel ${number}`, ticket.cancel);
  };

  for (const [number, plan] of plans.entries()) {
    later(`submit ${number}`, () => submit(plan, number));
  }
  for (const ms of ticksMs) later(`${ms} ms pass`, () => vi.advanceTimersByTime(ms));
  await scheduler.waitIdle();
  vi.advanceTimersByTime(1000);
  await everythingDone();

  return { faults, sent: [...sent.values()], replies, dispatcher, models, addCount: () => adds };
}

test('in every order of events, every ticket settles once, with its own reply or an error that was', async () => {
  stopClock();
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), scenario, async (scheduler, scenario) => {
      const { faults, sent, replies, dispatcher, models, addCount } = await live(
        scheduler,
        scenario,
      );
      expect(faults).toEqual([]);
      expect(sent).toHaveLength(scenario.plans.length);
      for (const [number, plan] of scenario.plans.entries()) {
        const entry = sent.find((candidate) => candidate.plan === plan) as Sent;
        const possible: unknown[] = ['deadline_exceeded'];
        if (entry.jobs > 0 && plan.answer !== 'none') possible.push(number);
        if (entry.jobs > 0 && plan.answer === 'error') possible.push('model_failed');
        if (plan.cancelled) possible.push('client_closed');
        if (entry.addRejected) possible.push('queue_unavailable');
        expect(entry.outcomes).toHaveLength(1);
        expect(possible).toContain(entry.outcomes[0]);
        expect(entry.jobs).toBeLessThanOrEqual(1);
        // What was neither cancelled nor too late has been sent.
        if (entry.jobs === 0 && !entry.addRejected)
          expect(['deadline_exceeded', 'client_closed']).toContain(entry.outcomes[0]);
        const answered = entry.outcomes[0] === number || entry.outcomes[0] === 'model_failed';
        expect(entry.settled).toBe(answered ? 1 : 0);
      }
      expect(replies.size).toBe(0);
      expect(vi.getTimerCount()).toBe(0);

      // At rest every lane is idle: the next item is sent at once.
      for (const model of models) {
        const before = addCount();
        const input = { text: '0' };
        const ticket = dispatcher.submit({ model, input, top: 1, deadlineAt: nowMs() + 1000 });
        expect(addCount()).toBe(before + 1);
        ticket.cancel();
        await expect(ticket.reply).rejects.toMatchObject({ code: 'client_closed' });
      }
    }),
    { numRuns: 300 },
  );
});
