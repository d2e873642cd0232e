// The chaos of jobs: callers submit many and cancel half of them, while workers are killed. At the end, each job
// is in one state, the right one, and was told of.
//
// The first half of the jobs is submitted while the workers do nothing. So when the kills begin, there is a queue,
// and most cancellations of the second half come in time, too.
//
// If the service says that a cancellation came in time, the job must be cancelled; any other job must succeed with the right
// answer.

import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from './client.js';
import { acceptedJob, asOutcome, cancelJob, readEnded, withFields } from './job-client.js';
import { makeJudge } from './judge.js';
import { makeLoad } from './load.js';
import { makeRandom, pick } from './random.js';
import type { RunOptions } from './run.js';
import { makeSchedule } from './schedule.js';
import { makeTally } from './tally.js';
import type { Input, Target } from './target.js';
import { makeTimeline } from './timeline.js';
import { judgeWebhooks, type WebhookCounts } from './told.js';
import { waitUntil } from './wait.js';

/** The result of a run, as its last line of output says it in JSON. */
export interface JobsSummary {
  readonly seed: number;
  readonly seconds: number;
  readonly jobs: number;
  readonly succeeded: number;
  readonly cancelled: number;
  /** Ended in another state than the right one, or with another answer. */
  readonly wrong: number;
  /** In another state later. */
  readonly changed: number;
  readonly not_ended: number;
  readonly webhooks: WebhookCounts;
  readonly faults: Readonly<Record<string, number>>;
  /** What is wrong with the service afterwards. */
  readonly illness: readonly string[];
}

/** A cancellation comes at once, or, of this share, up to so much later. */
const lateShare = 0.25;
const cancelMsMax = 1000;
const submitWithinMs = 10_000;

interface Submitted {
  readonly job: string;
  readonly input: Input;
  readonly isCancelled: boolean;
}

export type JobsOptions = Pick<
  RunOptions,
  'seed' | 'clients' | 'kinds' | 'killEveryMs' | 'stretch' | 'say'
> & { readonly jobs: number };

/** Runs the chaos, and closes the target. */
export async function runJobs(target: Target, options: JobsOptions): Promise<JobsSummary> {
  const { seed, clients, say } = options;
  const { receiver } = target;
  if (!receiver) throw new Error('--jobs: expected --target scoreline, which sends webhooks.');
  const now = () => performance.now();
  const startedAt = now();
  const timeline = makeTimeline(target.models, now);
  const tally = makeTally({ models: target.models, timeline, say, now });
  const judge = makeJudge(timeline, target.formOf);
  const load = makeLoad({ target, judge, tally, seed, now });
  const inTurns = <T, R>(values: readonly T[], act: (client: Client, value: T) => Promise<R>) =>
    shareOut(values, clients, load.openClient, act);
  const submit = (from: number, to: number) =>
    inTurns(
      Array.from({ length: to - from }, (_, at) => from + at),
      (client, index) =>
        submitOne(client, index, { target, seed, webhook: `${receiver.origin}/jobs` }),
    );
  const half = Math.floor(options.jobs / 2);
  const resume = target.pauseWorkers?.();
  const submitted = await submit(0, half);
  resume?.();
  const trouble = beginTrouble(target, options, timeline);
  submitted.push(...(await submit(half, options.jobs)));
  say(`${submitted.length} jobs are submitted after ${Math.round((now() - startedAt) / 1000)} s.`);
  const readAll = () =>
    inTurns(submitted, (client, { job, input }) =>
      readEnded(client, job, () => now() - startedAt > 2 * input.deadlineMs),
    );
  const found = await readAll();
  await trouble.end();

  const states = new Map<string, string>();
  const counts = { succeeded: 0, cancelled: 0, wrong: 0, not_ended: 0 };
  for (const [at, { job, input, isCancelled }] of submitted.entries()) {
    const one = found[at];
    if (!one || !('state' in one)) {
      counts.not_ended++;
      say(`NOT ENDED: job ${job}: ${JSON.stringify(one)}`);
      continue;
    }
    states.set(job, one.state);
    const request = { ...input, sentAt: startedAt, endedAt: now() };
    const isRight = isCancelled
      ? one.state === 'cancelled'
      : judge(request, asOutcome(one)).type === 'right';
    if (isRight) counts[isCancelled ? 'cancelled' : 'succeeded']++;
    else {
      counts.wrong++;
      say(`WRONG: job ${job}, cancelled: ${isCancelled}: ${JSON.stringify(one).slice(0, 200)}`);
    }
  }
  const webhooks = await judgeWebhooks(receiver, states, say);
  const again = await readAll();
  const changed = again.filter((one, at) => {
    const before = found[at];
    return one && before && 'state' in one && 'state' in before && one.state !== before.state;
  }).length;
  const illness = [...(await target.findIllness()), ...(await target.close())];
  const seconds = Math.round((now() - startedAt) / 100) / 10;
  const faults = timeline.counts();
  return { seed, seconds, jobs: submitted.length, ...counts, changed, webhooks, faults, illness };
}

/** Whether each job ended in one state, the right one, and was told of. */
export function isJobsPassed(summary: JobsSummary): boolean {
  const { jobs, succeeded, cancelled, changed, webhooks, illness } = summary;
  return (
    succeeded + cancelled === jobs &&
    changed === 0 &&
    webhooks.right === jobs &&
    webhooks.wrong === 0 &&
    illness.length === 0
  );
}

/** Submits a job, and cancels every other one. */
async function submitOne(
  client: Client,
  index: number,
  parts: { target: Pick<Target, 'models' | 'inputsOf'>; seed: number; webhook: string },
): Promise<Submitted> {
  const random = makeRandom(parts.seed, `job ${index}`);
  const { target } = parts;
  const input = pick(target.inputsOf(target.models[0] as string), random());
  const request = withFields(input.request, {
    Prefer: 'respond-async',
    'Webhook-Url': parts.webhook,
    'Idempotency-Key': `chaos-${parts.seed}-${index}`,
  });
  let job: string | undefined;
  for (;;) {
    job = acceptedJob(await client.ask(request, submitWithinMs));
    if (job !== undefined) break;
    await delay(50 + random() * 200);
  }
  if (index % 2 === 1) return { job, input, isCancelled: false };
  if (random() < lateShare) await delay(random() * cancelMsMax);
  return { job, input, isCancelled: (await cancelJob(client, job)) === 200 };
}

/** Lets faults happen until they are ended. */
function beginTrouble(
  target: Target,
  options: JobsOptions,
  timeline: ReturnType<typeof makeTimeline>,
): { end(): Promise<void> } {
  const startedAt = performance.now();
  let isOver = false;
  const suffer = async () => {
    const pending = new Set<Promise<void>>();
    for (const fault of makeSchedule(options)) {
      const isDue = () => isOver || performance.now() - startedAt >= fault.atMs;
      await waitUntil(isDue, Number.MAX_VALUE);
      if (isOver) break;
      const end = timeline.begin(fault.kind);
      const happening = Promise.resolve(target.faults[fault.kind]?.(fault)).then(() => {
        end();
        pending.delete(happening);
      });
      pending.add(happening);
    }
    await Promise.all(pending);
  };
  const suffering = suffer();
  return {
    async end() {
      isOver = true;
      await suffering;
    },
  };
}

/** Does something for each value, with several clients at a time. Returns the outcomes in order. */
async function shareOut<T, R>(
  values: readonly T[],
  clients: number,
  open: () => Client,
  act: (client: Client, value: T) => Promise<R>,
): Promise<R[]> {
  const outcomes: R[] = [];
  const rest = values.entries();
  const work = async () => {
    const client = open();
    for (const [at, value] of rest) outcomes[at] = await act(client, value);
    client.close();
  };
  await Promise.all(Array.from({ length: clients }, work));
  return outcomes;
}
