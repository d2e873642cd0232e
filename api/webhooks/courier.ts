// The courier: delivers the webhooks that are due, as every API instance does.
//
// It claims as many as it has places for, of each host on its own: so a receiver that hangs takes the places of its
// host, and nobody else's. Callers share the places of a host (pending-webhooks.ts). Of a job that has not ended, it only
// plans the next look. That is a rare case: an instance notices the ends of its own jobs (job-ends.ts), and another one
// looks only if that instance is gone.
//
// A claim lasts longer than an attempt. If this instance dies, another one makes the attempt again.

import { nowMs } from '../../shared/clock.js';
import type { WebhookHost, WebhookSecret } from '../../shared/configuration/webhooks.js';
import { secretsOf } from '../../shared/configuration/webhooks.js';
import { coerceError } from '../../shared/errors.js';
import { type Logger, makeSeldom } from '../../shared/process/log.js';
import { lateMsMax } from '../../shared/redis/kept-results.js';
import { explain } from '../../shared/redis/redis.js';
import type { JobEnds } from '../jobs/job-ends.js';
import type { JobRecord } from '../jobs/job-record.js';
import { isPending, type JobStates } from '../jobs/job-states.js';
import type { JobStore } from '../jobs/job-store.js';
import type { Job } from '../jobs/jobs.js';
import { pauseMs } from './backoff.js';
import type { Resolve } from './checked-lookup.js';
import type { Event } from './event.js';
import type { Claim, PendingJob, PendingWebhooks, Settled } from './pending-webhooks.js';
import { Places } from './places.js';
import { type Attempt, makePoster, type Poster } from './post.js';
import { sign } from './signature.js';
import type { Webhook } from './webhook.js';

/** How often the courier looks for webhooks that are due, unless it has heard of one. */
const lookEveryMs = 1000;
/** A job is looked at again after as long as it has waited, within these bounds. */
const lookAgainMsMin = 5000;
const lookAgainMsMax = 60_000;
/** How much longer than an attempt a claim lasts. */
const claimSpareMs = 5000;
/** How long to wait for a model that is awaited. */
const awaitedMs = 1000;
/** How long attempts on their way may take when the process ends. With what else ends then, it is less than a second. */
const closeMsMax = 600;

export interface CourierOptions {
  readonly hosts: readonly WebhookHost[];
  readonly secrets: readonly WebhookSecret[];
  readonly attemptsMax: number;
  readonly attemptMs: number;
  readonly concurrentMax: number;
  readonly pending: PendingWebhooks;
  readonly store: Pick<JobStore, 'read'>;
  readonly states: Pick<JobStates, 'read'>;
  readonly ends: JobEnds;
  /** Writes the message about a job that has ended. */
  readonly write: (job: Job, kept: string | undefined) => Event;
  /** Whether its message can be written only once this instance knows its model. */
  readonly mustWaitForModel: (job: Job) => boolean;
  readonly resolve: Resolve;
  readonly log: Logger;
  readonly onAttempt?: ((origin: string, outcome: Attempt['outcome']) => void) | undefined;
}

/** What the courier has for a host. */
interface Route {
  readonly poster: Poster;
  readonly secrets: readonly WebhookSecret[];
  readonly places: Places;
}

export class Courier {
  readonly #options: CourierOptions;
  readonly #routes: ReadonlyMap<string, Route>;
  readonly #warn: ReturnType<typeof makeSeldom>;
  /** By their names. */
  readonly #heard = new Map<string, PendingJob>();
  readonly #working = new Set<Promise<void>>();
  /** The webhooks that are worked on, by their names, and whether each was heard of meanwhile. */
  readonly #underWay = new Map<string, { isHeardAgain: boolean }>();
  readonly #running: Promise<void>;
  #wake = () => {};
  #isAwake = false;
  #isClosed = false;

  constructor(options: CourierOptions) {
    const { hosts, secrets, concurrentMax, ends, log } = options;
    this.#options = options;
    this.#warn = makeSeldom(log);
    this.#routes = new Map(
      hosts.map((host) => [
        host.origin,
        {
          poster: makePoster(host, options),
          secrets: secretsOf(new URL(host.origin).host, secrets),
          places: new Places(concurrentMax),
        },
      ]),
    );
    ends.listen((record) => this.#hear(record));
    this.#running = this.#run();
  }

  /** Gives attempts on their way a second, and the others back. Can be called twice. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#stir();
    await this.#running;
    const timer = setTimeout(() => this.#breakOff(), closeMsMax);
    await Promise.all(this.#working);
    clearTimeout(timer);
    this.#breakOff();
  }

  #breakOff(): void {
    for (const { poster } of this.#routes.values()) poster.close();
  }

  #hear({ id, caller, webhook }: JobRecord): void {
    if (webhook === undefined) return;
    const heard = { job: id, origin: new URL(webhook).origin, caller };
    const underWay = this.#underWay.get(nameOf(heard));
    // Otherwise the webhook would be sent a second time, beside the attempt on its way.
    if (underWay) underWay.isHeardAgain = true;
    else {
      this.#heard.set(nameOf(heard), heard);
      this.#stir();
    }
  }

  #stir(): void {
    this.#isAwake = true;
    this.#wake();
  }

  async #run(): Promise<void> {
    while (!this.#isClosed) {
      this.#isAwake = false;
      const claims = await this.#claim().catch((thrown) => {
        this.#warn(explain(thrown), 'webhooks cannot be looked for; trying again');
        return [];
      });
      for (const claim of claims) this.#begin(claim);
      if (claims.length === 0) await this.#sleep();
    }
  }

  async #sleep(): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, lookEveryMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
      if (this.#isAwake) this.#wake();
    });
  }

  async #claim(): Promise<readonly Claim[]> {
    const heard = [...this.#heard.values()];
    this.#heard.clear();
    const places = new Map([...this.#routes].map(([origin, route]) => [origin, route.places]));
    for (const [origin, { free }] of places) if (free === 0) places.delete(origin);
    try {
      if (heard.length > 0) await this.#options.pending.hurry(heard);
    } catch (error) {
      for (const each of heard) this.#heard.set(nameOf(each), each);
      throw error;
    }
    if (places.size === 0) return [];
    return this.#options.pending.claim(places, this.#options.attemptMs + claimSpareMs);
  }

  #begin(claim: Claim): void {
    const route = this.#routes.get(claim.origin) as Route;
    const name = nameOf(claim);
    // An end that was heard of while the claim was on its way must not lead to a second claim.
    const progress = { isHeardAgain: this.#heard.delete(name) };
    route.places.take(claim.caller);
    this.#underWay.set(name, progress);
    const working = this.#work(claim, route)
      .then((outcome) => {
        if (outcome !== 'done' && progress.isHeardAgain) this.#heard.set(name, claim);
      })
      // The claim ends by itself, and then the webhook is due again.
      .catch((thrown) => this.#warn(explain(thrown), 'a webhook has to wait; trying again'))
      .finally(() => {
        route.places.leave(claim.caller);
        this.#working.delete(working);
        // The claim may have ended meanwhile, and another one begun.
        if (this.#underWay.get(name) === progress) this.#underWay.delete(name);
        this.#stir();
      });
    this.#working.add(working);
  }

  /**
   * Makes an attempt, or puts the webhook off because its message cannot be written yet. The attempt is outdated if the
   * job has a new message by then.
   */
  async #work(claim: Claim, route: Route): Promise<'done' | 'postponed' | 'outdated'> {
    const { pending, attemptsMax, onAttempt } = this.#options;
    const webhook = await pending.read(claim.job);
    if (!webhook || !isStillPending(webhook, claim)) {
      await pending.forget(claim);
      return 'done';
    }
    const job = await this.#readJob(claim);
    if (job && isPending(job.state) && webhook.event === undefined) {
      await pending.postpone(claim, nextLookAt(job.record, nowMs()));
      return 'postponed';
    }
    if (job && webhook.event === undefined && this.#options.mustWaitForModel(job)) {
      await pending.postpone(claim, nowMs() + awaitedMs);
      return 'postponed';
    }
    const message = this.#write(webhook, job);
    if (message === undefined) {
      const error = 'the job was forgotten before its end was seen';
      const dead = { ...webhook, state: 'dead', at: nowMs(), error } as const;
      return this.#settle(claim, webhook, dead);
    }
    const attempt =
      'outcome' in message ? message : await this.#attempt(claim, webhook, message, route);
    if (attempt) {
      onAttempt?.(claim.origin, attempt.outcome);
      return this.#settle(claim, webhook, follow(webhook, attempt, attemptsMax));
    }
    await pending.postpone(claim, nowMs());
    return 'done';
  }

  /** Resolves to undefined if the job is not known any more. */
  async #readJob({ job }: Claim): Promise<Job | undefined> {
    const { store, states } = this.#options;
    const record = await store.read(job);
    return record && { record, state: await states.read(record) };
  }

  /**
   * Writes the message. A fault of ours counts as an attempt, so it is not tried for ever.
   * Returns undefined if nothing is known of the job any more.
   */
  #write(webhook: Webhook, job: Job | undefined): Event | Attempt | undefined {
    const { event } = webhook;
    if (!job) return event === undefined ? undefined : { kept: event, body: event };
    try {
      return this.#options.write(job, event);
    } catch (thrown) {
      this.#warn({ err: coerceError(thrown) }, 'the message of a webhook cannot be written');
      return { outcome: 'unwritten', detail: 'the message could not be written' };
    }
  }

  /** Keeps what the message says of the end of the job before it is first sent. */
  async #attempt(
    claim: Claim,
    webhook: Webhook,
    { kept, body }: Event,
    { poster, secrets }: Route,
  ): Promise<Attempt | undefined> {
    const { message, url, event } = webhook;
    if (event === undefined) await this.#options.pending.keepEvent(claim, webhook, kept);
    return poster.post({
      ...{ url, body },
      headers: sign({ id: `msg_${message}`, body }, secrets, new Date(nowMs())),
    });
  }

  async #settle(claim: Claim, webhook: Webhook, settled: Settled): Promise<'done' | 'outdated'> {
    if (!(await this.#options.pending.settle(claim, webhook, settled))) return 'outdated';
    if (settled.state === 'dead') {
      const { attempts, error } = settled;
      const { origin, job } = claim;
      this.#warn({ host: origin, job, attempts, reason: error }, 'a webhook is a dead letter now');
    }
    return 'done';
  }
}

/** Names a webhook: a job that is done again may have one at another host beside the one that is worked on. */
function nameOf({ job, origin }: PendingJob): string {
  return `${origin} ${job}`;
}

/** Whether a webhook is to be sent to the host of a claim. A job that is done again may have one to another host. */
function isStillPending({ state, url }: Webhook, { origin }: Claim): boolean {
  return state !== 'delivered' && state !== 'dead' && new URL(url).origin === origin;
}

/** Decides what follows from an attempt. */
export function follow(
  webhook: Pick<Webhook, 'attempts'>,
  { outcome, detail, retryAfterMs }: Attempt,
  attemptsMax: number,
): Settled {
  const attempts = webhook.attempts + 1;
  const now = nowMs();
  if (outcome === 'delivered') return { state: 'delivered', at: now, attempts, error: undefined };
  if (outcome === 'gone' || attempts >= attemptsMax) {
    return { state: 'dead', at: now, attempts, error: detail };
  }
  return {
    state: 'retrying',
    at: now + pauseMs(attempts, retryAfterMs),
    attempts,
    error: detail,
  };
}

/** When a job that has not ended is looked at again: at the latest when it has expired. */
export function nextLookAt({ submittedAt, deadlineAt }: JobRecord, now: number): number {
  const againMs = Math.min(Math.max(now - submittedAt, lookAgainMsMin), lookAgainMsMax);
  const expiredAt = deadlineAt + lateMsMax + 1;
  // A worker may still hold a job that is late.
  return expiredAt > now ? Math.min(now + againMs, expiredAt) : now + lookAgainMsMin;
}
