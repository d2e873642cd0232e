// The rollout in an API instance: keeps the registry in step with the folder of models, with what workers have
// announced, and with the orders of operators (plan.ts decides). Each instance looks by itself, and all see the same.

import { setTimeout as delay } from 'node:timers/promises';
import { ScorelineError } from '../../shared/errors.js';
import type { Logger } from '../../shared/process/log.js';
import { Rounds } from '../../shared/process/rounds.js';
import type { Keys } from '../../shared/redis/keys.js';
import type { Redis } from '../../shared/redis/redis.js';
import type { ModelFolder } from '../../shared/registry/folder.js';
import { LeftOutLog } from '../../shared/registry/left-out.js';
import type { Model } from '../../shared/registry/models.js';
import { makeRegistry, type Registry } from '../../shared/registry/registry.js';
import {
  type LoadFault,
  noOrders,
  type Orders,
  order,
  readFault,
  readOrders,
} from '../../shared/registry/repository.js';
import { shown } from '../../shared/shown.js';
import type { Peers } from '../admission/peers.js';
import type { Calls } from '../call/calls.js';
import { orUnavailable, type Queue } from '../queue/queue.js';
import type { MayRest } from './at-rest.js';
import { planVersions } from './plan.js';
import { lookForStranded, rememberQueues } from './stranded.js';

const strandedEveryMs = 3_600_000;
/** How long an order to load a model is waited for. */
const loadMsMax = 60_000;
const lookAgainMs = 100;
/** How long a new version waits for as many workers as the one that it follows has. */
const moreWorkersMsMax = 10_000;
/** How long there may be no worker at all until none is expected to be loading a new model. */
const idleMsMin = 10_000;
/**
 * How long a version that has left the folder may be without workers until none is expected to come. A worker that is
 * cut off from Redis is missed after 10 s, and connects again within 12 s more.
 */
const lostMsMin = 25_000;
/** How long a version that drains may be without workers before its requests are refused. */
const drainedMsMin = 2000;

interface Options {
  readonly folder: ModelFolder;
  readonly registry: Registry;
  readonly queue: Pick<Queue, 'countWorkers'>;
  readonly calls: Pick<Calls, 'isInUse' | 'refuse'>;
  readonly peers: Pick<Peers, 'expect'>;
  readonly redis: Redis;
  readonly keys: Keys;
  readonly log: Logger;
  readonly mayRest: MayRest;
  /** How often to look. */
  readonly everyMs: number;
  /** The time in milliseconds; `performance.now` by default. */
  readonly now?: () => number;
}

/** A version that gets no requests, or whose requests are refused, and why. */
export interface Waiting {
  readonly name: string;
  readonly version: string;
  readonly state: 'loading' | 'failed' | 'unloaded';
  /** The code of the error, if it has failed. */
  readonly code?: string | undefined;
}

export class Rollout {
  readonly #options: Options;
  readonly #now: () => number;
  readonly #rounds: Rounds;
  /** The queues for which a worker has been ready. */
  readonly #ready = new Set<string>();
  /** The queues that have workers now. */
  #served: ReadonlySet<string> = new Set();
  /** When the first worker of a queue that is not ready was seen. */
  readonly #announced = new Map<string, number>();
  /** Why no worker can load a model, by queue. A queue with a live worker has none. */
  #faults = new Map<string, LoadFault>();
  /** Since when queues have had no worker. */
  #withoutWorkers = new Map<string, number>();
  /** When a worker of any queue was last seen. */
  #workersAt: number;
  #orders: Orders = noOrders;
  #unsubscribe = () => {};
  #stranding: NodeJS.Timeout | undefined;
  readonly #leftOutLog: LeftOutLog;

  constructor(options: Options) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#workersAt = this.#now();
    this.#rounds = new Rounds({ ...options, act: () => this.#look() });
    this.#leftOutLog = new LeftOutLog(options.log, options.folder.leftOut);
  }

  /** Decides what is served at the start, and then looks again and again. */
  async begin(): Promise<void> {
    // While Redis is away, nothing is known, and everything is served.
    await this.#readOrders()
      .then(() => this.#readWorkers(true))
      .catch(() => {});
    this.#apply(true);
    this.#unsubscribe = this.#options.registry.subscribe(({ added }) => {
      void rememberQueues(this.#options, added).catch(() => {});
    });
    this.#lookForStranded();
    this.#stranding = setInterval(() => this.#lookForStranded(), strandedEveryMs);
    this.#rounds.begin();
  }

  #lookForStranded(): void {
    const known = [...this.#options.folder.models, ...this.#options.registry.models];
    void lookForStranded({ ...this.#options, known }).catch(() => {});
  }

  /** The versions in the folder that get no requests, or whose requests are refused. */
  get waiting(): readonly Waiting[] {
    const { folder, registry } = this.#options;
    const isServed = ({ queue }: Model) => registry.models.some((model) => model.queue === queue);
    return folder.models
      .filter((model) => !isServed(model) || this.#faults.has(model.queue))
      .map(({ name, version, queue }) => {
        if (this.#orders.unloaded.has(name)) return { name, version, state: 'unloaded' };
        const unread = folder.trafficOf(name) ? undefined : 'manifest_invalid';
        const code = this.#faults.get(queue)?.code ?? unread;
        return code === undefined
          ? { name, version, state: 'loading' }
          : { name, version, state: 'failed', code };
      });
  }

  /**
   * Has a model loaded that was unloaded or has changed. Resolves when each of its versions has a worker, or gets
   * requests without one, since its workers come only for those.
   * @throws ScorelineError `model_not_found`; `model_load_failed` with the reasons, and then what was served before is
   * still served; `deadline_exceeded`, `queue_unavailable`
   */
  async load(name: string): Promise<void> {
    const until = this.#now() + loadMsMax;
    await orUnavailable(order(this.#options, 'load', name));
    for (;;) {
      await orUnavailable(this.#lookNow());
      if (this.#orders.unloaded.has(name)) throw unloadedMeanwhile(name);
      const { folder } = this.#options;
      const versions = folder.models.filter((model) => model.name === name);
      const faults = folder.leftOut.filter((each) => each.name === name).map(({ error }) => error);
      if (versions.length + faults.length === 0) throw this.#unknown(name);
      const failed = versions.filter(({ queue }) => this.#freshFault(queue));
      const isSettled = versions.every(
        (model) =>
          (this.#ready.has(model.queue) && this.#served.has(model.queue)) ||
          failed.includes(model) ||
          this.#isAtRest(model),
      );
      if (isSettled) {
        const reasons = [
          ...faults.map(({ code, message }) => `${code}: ${message}`),
          ...failed.map(({ version, queue }) => {
            const { code, message } = this.#faults.get(queue) as LoadFault;
            return `version ${version}: ${code}: ${message}`;
          }),
        ];
        if (reasons.length > 0) throw notLoaded(name, reasons);
        return;
      }
      if (this.#now() > until) throw stillLoading(name);
      await delay(lookAgainMs);
    }
  }

  /**
   * Takes a model out of the service until it is loaded again. Requests that have come are answered.
   * @throws ScorelineError `model_not_found`, `queue_unavailable`
   */
  async unload(name: string): Promise<void> {
    const { folder, registry } = this.#options;
    const isKnown = [...folder.models, ...registry.models].some((model) => model.name === name);
    if (!isKnown) throw this.#unknown(name);
    await orUnavailable(order(this.#options, 'unload', name));
    await orUnavailable(this.#lookNow());
  }

  close(): Promise<void> {
    clearInterval(this.#stranding);
    this.#unsubscribe();
    return this.#rounds.close();
  }

  /** Looks once more if a look is under way, since that may have begun before an order. */
  async #lookNow(): Promise<void> {
    await this.#rounds.now();
    await this.#rounds.now();
  }

  async #look(): Promise<void> {
    const isUrgent = await this.#readOrders();
    await this.#options.folder.look({ isUrgent });
    await this.#readWorkers(false);
    this.#apply(false);
  }

  async #readOrders(): Promise<boolean> {
    const { redis, keys } = this.#options;
    const orders = await readOrders(redis, keys);
    const isUrgent = orders.revision !== this.#orders.revision;
    this.#orders = orders;
    return isUrgent;
  }

  /** Asks which models have workers, and why the others have none. */
  async #readWorkers(isStart: boolean): Promise<void> {
    const { folder, registry, peers, queue, redis, keys, mayRest } = this.#options;
    const { unloaded } = this.#orders;
    // Before their workers are counted, so those stay.
    await peers.expect(folder.models.filter(({ name }) => !unloaded.has(name)));
    const models = [...folder.models, ...registry.models, ...registry.draining];
    const asked = [...new Set(models.map((model) => model.queue))];
    const workers = await queue.countWorkers(asked);
    const counts = new Map(asked.map((name, at) => [name, workers[at] ?? 0]));
    this.#served = new Set(asked.filter((name) => (counts.get(name) ?? 0) > 0));
    this.#noteWithoutWorkers(counts, isStart);
    const faults = new Map<string, LoadFault>();
    for (const model of folder.models) {
      const count = counts.get(model.queue) ?? 0;
      if (count > 0 && isStart) this.#ready.add(model.queue);
      else if (count > 0) this.#note(model, count, counts);
      else {
        const fault = await readFault(redis, keys, model.queue);
        if (!fault) continue;
        faults.set(model.queue, fault);
        // One that scales from zero is tried again once the report has expired: its workers come only for requests.
        if (!mayRest(model)) this.#ready.delete(model.queue);
      }
    }
    this.#faults = faults;
  }

  /** A version is ready if it has as many workers as the one that it follows, or has waited for more of them. */
  #note({ name, queue }: Model, count: number, counts: ReadonlyMap<string, number>): void {
    if (this.#ready.has(queue)) return;
    const latest = this.#options.registry.latest.find((model) => model.name === name);
    const wanted = (latest && counts.get(latest.queue)) ?? 0;
    const now = this.#now();
    const since = this.#announced.get(queue) ?? now;
    this.#announced.set(queue, since);
    if (count < wanted && now - since < moreWorkersMsMax) return;
    this.#ready.add(queue);
    this.#announced.delete(queue);
  }

  #noteWithoutWorkers(counts: ReadonlyMap<string, number>, isStart: boolean): void {
    const now = this.#now();
    // A queue without workers at the start of this instance is at rest.
    const since = isStart ? now - lostMsMin : now;
    const without = [...counts].filter(([, count]) => count === 0).map(([queue]) => queue);
    if (without.length < counts.size) this.#workersAt = now;
    this.#withoutWorkers = new Map(
      without.map((queue) => [queue, this.#withoutWorkers.get(queue) ?? since]),
    );
  }

  #msWithoutWorkers(queue: string): number {
    const now = this.#now();
    return now - (this.#withoutWorkers.get(queue) ?? now);
  }

  /** Whether there is no worker that could be loading a model. Those that run have the folder, too. */
  #isIdle(queue: string): boolean {
    const ms = Math.min(this.#msWithoutWorkers(queue), this.#now() - this.#workersAt);
    return ms > idleMsMin;
  }

  /** Whether a model gets requests without a worker, which will come for them. */
  #isAtRest(model: Model): boolean {
    const { registry, mayRest } = this.#options;
    const { queue } = model;
    const isServed = registry.models.some((each) => each.queue === queue);
    return isServed && mayRest(model) && !this.#faults.has(queue) && this.#isIdle(queue);
  }

  /** Whether a model has had no worker for this long, and none will come because it is unloaded or has left the folder. */
  #isLost({ queue }: Model, ms: number): boolean {
    if (this.#msWithoutWorkers(queue) < ms) return false;
    return !this.#options.folder.models.some(
      (model) => model.queue === queue && !this.#orders.unloaded.has(model.name),
    );
  }

  #apply(isStart: boolean): void {
    const { folder, registry, calls } = this.#options;
    const plan = planVersions({
      wanted: folder.models,
      leftOut: folder.leftOut,
      trafficOf: (name) => folder.trafficOf(name),
      unloaded: this.#orders.unloaded,
      served: isStart ? makeRegistry([]) : registry,
      isReady: (queue) => this.#ready.has(queue) && !this.#faults.has(queue),
      faultOf: (queue) => this.#faults.get(queue),
      isInUse: (model) => calls.isInUse(model),
      isLost: (model) => this.#isLost(model, lostMsMin),
      isIdle: (queue) => this.#isIdle(queue),
      mayRest: this.#options.mayRest,
      isStart,
    });
    const before = registry.models;
    registry.replace(plan.models, plan);
    // A worker that is still starting may have read the folder as it was before.
    const until = this.#now() + idleMsMin - drainedMsMin;
    for (const { queue } of registry.draining) {
      const beganNow = before.some((model) => model.queue === queue);
      if (beganNow && this.#withoutWorkers.has(queue)) this.#withoutWorkers.set(queue, until);
    }
    const broken = folder.models.filter(({ queue }) => this.#faults.has(queue));
    const lost = registry.draining.filter((model) => this.#isLost(model, drainedMsMin));
    calls.refuse(
      new Map([
        ...broken.map((model) => [model.queue, this.#refusalOf(model)] as const),
        ...lost.map((model) => [model.queue, lostWorkers(model)] as const),
      ]),
    );
    this.#logChanges(before);
    this.#forgetGone();
  }

  /** A version that comes back has to be announced again. */
  #forgetGone(): void {
    const { folder, registry } = this.#options;
    const { unloaded } = this.#orders;
    const wanted = folder.models.filter(({ name }) => !unloaded.has(name));
    const known = [...wanted, ...registry.models, ...registry.draining].map(({ queue }) => queue);
    for (const of of [this.#ready, this.#announced]) {
      for (const queue of of.keys()) if (!known.includes(queue)) of.delete(queue);
    }
  }

  #logChanges(before: readonly Model[]): void {
    const { registry, log } = this.#options;
    const { models, leftOut } = registry;
    const queuesOf = (of: readonly Model[]) => of.map(({ queue }) => queue).join();
    if (queuesOf(before) !== queuesOf(models)) {
      log.info(
        { models: models.map(({ name, version }) => `${name}@${version}`) },
        'models served',
      );
    }
    // The workers say why they cannot load a version.
    this.#leftOutLog.update(leftOut.filter(({ isWaiting }) => !isWaiting));
  }

  #refusalOf({ name, version, queue }: Model): ScorelineError {
    // The message of a fault may hold paths, and callers see this one.
    const code = this.#faults.get(queue)?.code;
    return new ScorelineError(
      'model_load_failed',
      `No worker can load version ${version} of the model "${name}" (${code}). The log of the workers says what is wrong.`,
    );
  }

  /** Returns whether a worker has failed to load a model since the last order. */
  #freshFault(queue: string): boolean {
    return this.#faults.get(queue)?.revision === this.#orders.revision;
  }

  #unknown(name: string): ScorelineError {
    const { folder } = this.#options;
    const served = [...new Set(folder.models.map((model) => model.name))].join(', ');
    return new ScorelineError(
      'model_not_found',
      folder.isUnnamed(name)
        ? `The model ${name} is in the folder of models, but the setting MODELS does not name it. Name it there, or leave MODELS unset to serve all, and start API and workers again. The models served: ${served}.`
        : `There is no model ${shown(name, 100)} in the folder of models. The models there: ${served}.`,
    );
  }
}

function notLoaded(name: string, reasons: readonly string[]): ScorelineError {
  return new ScorelineError(
    'model_load_failed',
    `${name} could not be loaded as it is in the folder of models. What was served before is still served. ${reasons.join(' ')}`,
  );
}

function unloadedMeanwhile(name: string): ScorelineError {
  return new ScorelineError(
    'model_load_failed',
    `${name} was unloaded by another order before it was loaded. Load it again if it is wanted.`,
  );
}

function lostWorkers({ name, version }: Model): ScorelineError {
  return new ScorelineError(
    'queue_unavailable',
    `Version ${version} of the model "${name}" was replaced or unloaded while this request waited for it, and its workers have gone. Ask again: the version that is served now answers.`,
    { retryAfterSeconds: 1 },
  );
}

function stillLoading(name: string): ScorelineError {
  return new ScorelineError(
    'deadline_exceeded',
    `${name}: expected a worker to be ready for each version within ${loadMsMax} ms; none was. Look at GET /v1/models, and whether workers run.`,
  );
}
