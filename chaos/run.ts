// Runs the chaos: clients keep asking while faults keep happening. At the end the run checks
// whether the service is well. It has three phases:
//
// - trouble: load and faults, for the given time or number of requests.
// - calm: no new faults. The load goes on until each fault has ended, and each model has answered after the last one.
// - afterwards: no load. The run asks each model once more, and the answer must be right at once.

import { setTimeout as delay } from 'node:timers/promises';
import { coerceError } from '../shared/errors.js';
import { makeJobLoad } from './job-load.js';
import { makeJudge } from './judge.js';
import { graceMs, makeLoad } from './load.js';
import { makeRandom, pick } from './random.js';
import { type Fault, type FaultKind, makeSchedule } from './schedule.js';
import { makeTally, type Summary } from './tally.js';
import type { Input, Target } from './target.js';
import { makeTimeline } from './timeline.js';
import { makeTurns } from './turns.js';
import { waitUntil } from './wait.js';

export interface RunOptions {
  readonly seed: number;
  readonly seconds: number;
  /** If set, the trouble ends after this many requests instead of after `seconds`. */
  readonly requests: number | undefined;
  readonly clients: number;
  readonly kinds: readonly FaultKind[];
  readonly killEveryMs: number;
  /** Makes all other faults this many times rarer. */
  readonly stretch: number;
  readonly say: (line: string) => void;
}

const readyWithinMs = 60_000;
/** An API is replaced in 120 s at most. Four poisons that are refused once more take half a minute each at most. */
const faultEndsWithinMs = 180_000;
/** How many of the clients have their requests answered later, where the target can do that. */
const asynchronousShare = 0.25;
/** With this many poisons unanswered, no more are sent: they would only wait for each other. */
const poisonsMax = 4;
/** Counts from the end of the last fault. */
const recoversWithinMs = 10_000;
const progressEveryMs = 15_000;

/**
 * Runs all three phases and closes the target.
 * @throws the error of a fault that could not be injected
 */
export async function run(target: Target, options: RunOptions): Promise<Summary> {
  const now = () => performance.now();
  const timeline = makeTimeline(target.models, now);
  const tally = makeTally({ models: target.models, timeline, say: options.say, now });
  const judge = makeJudge(timeline, target.formOf);
  const load = makeLoad({ target, judge, tally, seed: options.seed, now });
  const { receiver } = target;
  const jobs = receiver && makeJobLoad({ ...{ load, receiver, judge, tally, now }, ...options });
  const callers = jobs ? Math.floor(options.clients * asynchronousShare) : 0;
  const countSent = () => load.sent + (jobs?.sent ?? 0);
  const startedAt = now();
  const inTurn = makeTurns();
  const pending = new Set<Fault>();
  let poisons = 0;
  let failure: Error | undefined;

  const isTrouble = () => {
    if (failure) return false;
    return options.requests === undefined
      ? now() - startedAt < options.seconds * 1000
      : countSent() < options.requests;
  };

  const poison = async (fault: Fault) => {
    poisons++;
    const model = pick(target.models, fault.victim);
    const input = await target.poison(fault.poison, model, String(Math.round(fault.atMs)));
    const client = load.openClient();
    const random = makeRandom(options.seed, `poison ${fault.atMs}`);
    const isAnswered = await load.sendUntilAnswered(client, input, random, () => !isTrouble());
    // All at once, the remaining poisons would make each other miss their deadlines again and again.
    if (!isAnswered) {
      await inTurn(async () => void (await load.sendUntilAnswered(client, input, random)));
    }
    client.close();
    poisons--;
    await target.isReady(readyWithinMs);
  };

  const hangUp = async (fault: Fault) => {
    const client = load.openClient();
    const random = makeRandom(options.seed, `hang-up ${fault.atMs}`);
    const asked = client.ask(load.choose(random).request, graceMs);
    const outcome = await Promise.race([asked, delay(fault.victim * 50, undefined)]);
    client.close();
    if (outcome?.type !== 'unreachable') tally.recordHangUp();
  };

  const suffer = async (fault: Fault) => {
    const happen = { poison, 'hang-up': hangUp, ...target.faults }[fault.kind];
    if (!happen || (fault.kind === 'poison' && poisons === poisonsMax)) return;
    const end = timeline.begin(fault.kind);
    await happen(fault);
    end();
  };

  const progress = setInterval(() => {
    const awaited = isTrouble() ? [] : [...pending].map(({ kind }) => kind);
    const until = awaited.length > 0 ? `, until these end: ${awaited.join(', ')}` : '';
    options.say(`${Math.round((now() - startedAt) / 1000)} s  ${countSent()} sent${until}`);
  }, progressEveryMs);
  progress.unref();

  load.start(options.clients - callers);
  jobs?.start(callers);
  const suffering: Promise<void>[] = [];
  for (const fault of makeSchedule(options)) {
    await waitUntil(() => !isTrouble() || now() - startedAt >= fault.atMs, Number.MAX_VALUE);
    if (!isTrouble()) break;
    pending.add(fault);
    const ended = suffer(fault).catch((thrown) => {
      failure ??= coerceError(thrown);
    });
    suffering.push(ended.finally(() => pending.delete(fault)));
  }
  await Promise.race([Promise.all(suffering), delay(faultEndsWithinMs, undefined, { ref: false })]);
  if (failure) throw failure;
  for (const { kind, atMs } of pending) {
    tally.recordIllness(`the ${kind} at ${Math.round(atMs)} ms has not ended`);
  }
  if (!(await target.isReady(readyWithinMs))) tally.recordIllness('not every process came back');
  const isRecovered = await waitUntil(timeline.isRecovered, recoversWithinMs);
  if (!isRecovered) tally.recordIllness('not every model answers again');
  await Promise.all([load.close(), jobs?.close()]);

  for (const reason of await target.findIllness()) tally.recordIllness(reason);
  for (const model of target.models) {
    const client = load.openClient();
    const verdict = await load.send(client, target.inputsOf(model)[0] as Input, false);
    if (verdict.type !== 'right') tally.recordIllness(`${model} does not answer after the run`);
    client.close();
  }
  for (const reason of await target.close()) tally.recordIllness(reason);
  clearInterval(progress);
  return tally.summarize({
    seed: options.seed,
    seconds: Math.round((now() - startedAt) / 100) / 10,
  });
}
