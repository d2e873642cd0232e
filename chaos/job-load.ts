// The asynchronous callers of a run: each has its request answered as a job, waits for the job's end, and asks
// again. A job is judged as the request would be that had waited for the answer.

import { setTimeout as delay } from 'node:timers/promises';
import { acceptedJob, asOutcome, readEnded, withFields } from './job-client.js';
import type { Judge } from './judge.js';
import { graceMs, type Load } from './load.js';
import { makeRandom } from './random.js';
import type { Receiver } from './receiver.js';
import type { Tally } from './tally.js';
import type { Input } from './target.js';
import { judgeWebhooks } from './told.js';

const thinkMsMax = 200;
/** A worker that holds a job past its deadline first ends what it runs, such as a poison that hangs. */
const jobGraceMs = 30_000;

export interface JobLoad {
  /** How many requests were sent. */
  readonly sent: number;
  start(callers: number): void;
  /** Resolves once the last job has ended, and its webhook was judged. */
  close(): Promise<void>;
}

export function makeJobLoad(parts: {
  load: Pick<Load, 'openClient' | 'choose'>;
  receiver: Receiver;
  judge: Judge;
  tally: Tally;
  seed: number;
  say: (line: string) => void;
  now: () => number;
}): JobLoad {
  const { load, receiver, judge, tally, seed, say, now } = parts;
  const asking: Promise<void>[] = [];
  /** The last state of each job whose end was seen. */
  const states = new Map<string, string>();
  const fields = { Prefer: 'respond-async', 'Webhook-Url': `${receiver.origin}/chaos` };
  let sent = 0;
  let isClosed = false;

  const send = async (client: ReturnType<Load['openClient']>, input: Input) => {
    sent++;
    const { model, expectation, deadlineMs } = input;
    const sentAt = now();
    const asked = await client.ask(withFields(input.request, fields), deadlineMs + graceMs);
    const job = acceptedJob(asked);
    const isOver = () => now() - sentAt > deadlineMs + jobGraceMs;
    const found = job === undefined ? undefined : await readEnded(client, job, isOver);
    if (job !== undefined && found && 'state' in found) states.set(job, found.state);
    const outcome = job === undefined ? asked : asOutcome(found);
    const request = { model, expectation, sentAt, endedAt: now(), deadlineMs };
    tally.record(request, judge(request, outcome));
  };

  const ask = async (index: number) => {
    const random = makeRandom(seed, `asynchronous caller ${index}`);
    const client = load.openClient();
    while (!isClosed) {
      await send(client, load.choose(random));
      await delay(random() * thinkMsMax);
    }
    client.close();
  };

  return {
    get sent() {
      return sent;
    },
    start(callers) {
      for (let index = 0; index < callers; index++) asking.push(ask(index));
    },
    async close() {
      isClosed = true;
      await Promise.all(asking);
      tally.recordWebhooks(await judgeWebhooks(receiver, states, say));
    },
  };
}
