// Runs the chaos: clients keep asking while faults keep happening. At the end the run checks
// whether the service is well. It has three phases:
//
// - trouble: load and faults, for the given time or number of requests.
// - calm: no new faults. The load goes on until each model has answered after the last fault.
// - afterwards: no load. The run asks each model once more, and the answer must be right at once.

import { type Client, makeClient } from './client.js';
import { makeJudge, type Verdict } from './judge.js';
import { makeRandom, pick, type Random } from './random.js';
import { type Fault, type FaultKind, makeSchedule } from './schedule.js';
import { makeTally, type Summary } from './tally.js';
import type { Input, Target } from './target.js';
import { makeTimeline } from './timeline.js';
import { delay, waitUntil } from './wait.js';

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

/** One request in five goes to the second model and carries a photograph. */
const secondModelShare = 0.2;
/** A response may come this long after the deadline before it counts as hung. */
const graceMs = 5000;
const readyWithinMs = 60_000;
/** With this many poisons unanswered, no more are sent: they would only wait for each other. */
const poisonsMax = 4;
/** Counts from the end of the last fault. */
const recoversWithinMs = 10_000;
const progressEveryMs = 15_000;
/**
 * A client pauses before it asks again. Without pauses, the machine has no time for the service.
 */
const thinkMsMax = 40;

/** Runs all three phases and closes the target. */
export async function run(target: Target, options: RunOptions): Promise<Summary> {
  const now = () => performance.now();
  const timeline = makeTimeline(target.models, now);
  const tally = makeTally({ models: target.models, timeline, say: options.say, now });
  const judge = makeJudge(timeline, target.formOf);
  const startedAt = now();
  let sent = 0;
  let poisons = 0;
  let isCalm = false;

  const isTrouble = () =>
    options.requests === undefined
      ? now() - startedAt < options.seconds * 1000
      : sent < options.requests;
  const openClient = () =>
    makeClient({ address: target.address, onAnsweredTwice: tally.recordAnsweredTwice });

  const send = async (client: Client, input: Input, mayRefuse = true): Promise<Verdict> => {
    sent++;
    const { model, expectation, deadlineMs } = input;
    const sentAt = now();
    const outcome = await client.ask(input.request, deadlineMs + graceMs);
    const request = { model, expectation, sentAt, endedAt: now(), deadlineMs };
    const judged = judge(request, outcome);
    const verdict: Verdict =
      judged.type === 'refused' && !mayRefuse
        ? { type: 'lost', reason: `refused (${judged.by}) by a service that should be well` }
        : judged;
    tally.record(request, verdict);
    return verdict;
  };

  /** Repeats a request as long as it is refused, until the run is calm. */
  const sendUntilAnswered = async (client: Client, input: Input, random: Random) => {
    while (!isCalm) {
      const verdict = await send(client, input);
      if (verdict.type !== 'refused') return;
      await delay(50 + random() * 200);
    }
  };

  const ask = async (index: number) => {
    const random = makeRandom(options.seed, `client ${index}`);
    const client = openClient();
    while (!isCalm) {
      await sendUntilAnswered(client, chooseInput(target, random), random);
      await delay(random() * thinkMsMax);
    }
    client.close();
  };

  const poison = async (fault: Fault) => {
    poisons++;
    const model = pick(target.models, fault.victim);
    const input = await target.poison(fault.poison, model, String(Math.round(fault.atMs)));
    const client = openClient();
    await sendUntilAnswered(client, input, makeRandom(options.seed, `poison ${fault.atMs}`));
    client.close();
    poisons--;
    await target.isReady(readyWithinMs);
  };

  const hangUp = async (fault: Fault) => {
    const client = openClient();
    const random = makeRandom(options.seed, `hang-up ${fault.atMs}`);
    const asked = client.ask(chooseInput(target, random).request, graceMs);
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
    options.say(`${Math.round((now() - startedAt) / 1000)} s  ${sent} sent`);
  }, progressEveryMs);
  progress.unref();

  const clients = Array.from({ length: options.clients }, (_, index) => ask(index));
  const pending = new Set<Promise<void>>();
  for (const fault of makeSchedule(options)) {
    await waitUntil(() => !isTrouble() || now() - startedAt >= fault.atMs, Number.MAX_VALUE);
    if (!isTrouble()) break;
    const suffering = suffer(fault).finally(() => pending.delete(suffering));
    pending.add(suffering);
  }
  await Promise.all(pending);
  if (!(await target.isReady(readyWithinMs))) tally.recordIllness('not every process came back');
  const isRecovered = await waitUntil(timeline.isRecovered, recoversWithinMs);
  if (!isRecovered) tally.recordIllness('not every model answers again');
  isCalm = true;
  await Promise.all(clients);

  for (const reason of await target.findIllness()) tally.recordIllness(reason);
  for (const model of target.models) {
    const client = openClient();
    const verdict = await send(client, target.inputsOf(model)[0] as Input, false);
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

function chooseInput(target: Target, random: Random): Input {
  const [first, second] = target.models as readonly [string, string | undefined];
  const model = second !== undefined && random() < secondModelShare ? second : first;
  return pick(target.inputsOf(model), random());
}
