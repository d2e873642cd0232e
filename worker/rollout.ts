// The rollout in a worker: which models it has while it runs.
//
// It looks at the folder of models, and loads what is new, one model after the other: an engine that loads takes a core.
// A model is announced once it is warm, and only then does an API send requests to it. A model that has left the folder
// or was unloaded stays until no API instance sends to its queues and nothing in them is unanswered. One that cannot
// be loaded is reported, and is tried again when its folder changes or somebody asks, or later if the reason may pass by
// itself. The report stays until a try succeeds: without it, an API would send requests to the model again.
//
// A model whose Python program has ended or hangs is loaded again, and the other models of the worker go on.

import { setTimeout as delay } from 'node:timers/promises';
import { nowMs } from '../shared/clock.js';
import type { ErrorCode, ScorelineError } from '../shared/errors.js';
import type { Logger } from '../shared/process/log.js';
import { Rounds } from '../shared/process/rounds.js';
import { within } from '../shared/process/within.js';
import type { Keys } from '../shared/redis/keys.js';
import type { Redis } from '../shared/redis/redis.js';
import type { ModelFolder } from '../shared/registry/folder.js';
import { LeftOutLog, logLeftOut, whyLeftOut } from '../shared/registry/left-out.js';
import type { Model } from '../shared/registry/models.js';
import {
  clearFault,
  noOrders,
  type Orders,
  readOrders,
  reportFault,
} from '../shared/registry/repository.js';
import type { Place } from './place.js';
import type { Places } from './places.js';

/**
 * Faults that may pass by themselves: others may free memory, and a mirror or an index may be reached again. The model is
 * tried again, each time after twice as long, like a model that was lost and could not be loaded again.
 */
const passing: ReadonlySet<ErrorCode> = new Set([
  'memory_insufficient',
  'download_failed',
  'environment_failed',
]);
const againMs = { min: 1000, max: 120_000 };

/** A model that is lost again within this time waits before it is loaded, each time for longer. */
const soundMs = 60_000;
const pauseMs = { min: 500, max: 5000 };

/** How long a look may take once the worker closes. */
const endMsMax = 500;

interface Options {
  readonly folder: ModelFolder;
  readonly places: Places;
  readonly redis: Redis;
  readonly keys: Keys;
  readonly workerId: string;
  readonly log: Logger;
  /** How often to look. */
  readonly everyMs: number;
}

interface Fault {
  /** Of the model. */
  readonly name: string;
  readonly error: ScorelineError;
  readonly at: number;
  /** The orders that were known when the try began. */
  readonly revision: string;
  /** How often the model was tried since its folder changed or somebody gave an order. */
  tries: number;
  /** Whether the model stays out, is to be tried again, or has been loaded since. */
  state: 'out' | 'again' | 'loaded';
}

/** How often a model was lost, each time soon after the time before. */
interface Losses {
  readonly times: number;
  /** When the last one was, by the clock of `performance`. */
  readonly at: number;
  readonly isPaused: boolean;
}

interface Load {
  readonly name: string;
  readonly revision: string;
  /** Whether the folder of the model has changed since the load began. */
  isOutdated: boolean;
}

export class Rollout {
  readonly #options: Options;
  /** Why models cannot be loaded, by queue. */
  readonly #faults = new Map<string, Fault>();
  /** The models that were lost, by queue. */
  readonly #losses = new Map<string, Losses>();
  readonly #rounds: Rounds;
  #orders: Orders = noOrders;
  /** The loads under way. */
  readonly #loads = new Set<Load>();
  /** Whether a look has begun to load a model. */
  #isLoading = false;
  readonly #leftOutLog: LeftOutLog;

  constructor(options: Options) {
    this.#options = options;
    this.#leftOutLog = new LeftOutLog(options.log, options.folder.leftOut);
    this.#rounds = new Rounds({ ...options, act: () => this.#look() });
  }

  /**
   * Closes the places of models that are unloaded, before they take jobs.
   * @param failed the models that could not be loaded when the worker started
   */
  async begin(failed: readonly { model: Model; error: ScorelineError }[]): Promise<void> {
    const { places, redis, keys } = this.#options;
    this.#orders = await readOrders(redis, keys);
    const { revision } = this.#orders;
    for (const { model, error } of failed) {
      this.#note(model, error, { name: model.name, revision, isOutdated: false });
    }
    for (const place of places.all) {
      if (this.#orders.unloaded.has(place.model.name)) void places.close(place);
    }
    this.#rounds.begin();
  }

  /**
   * Loads a model again that can score nothing more, unless it is not wanted any more and drained. Its jobs here are not
   * done, so they are tried in quarantine, by whichever worker takes them. That is what happens to the jobs of a worker
   * that died.
   */
  async lose(model: Model, reason: string): Promise<void> {
    const { places, log } = this.#options;
    const { name, version, queue } = model;
    const place = places.get(queue);
    if (!place) return;
    log.error({ model: name, version, reason }, 'a model is lost; loading it again');
    const last = this.#losses.get(queue);
    const at = performance.now();
    const times = last && at - last.at < soundMs ? last.times + 1 : 1;
    this.#losses.set(queue, { times, at, isPaused: true });
    void places.close(place);
    const { min, max } = pauseMs;
    if (times > 1) await delay(Math.min(min * 2 ** (times - 2), max), undefined, { ref: false });
    const isUnwanted = !this.#isWanted(queue) && (await this.#isDrained(model).catch(() => false));
    this.#losses.set(queue, { times, at, isPaused: false });
    if (!isUnwanted) await this.#load(model);
  }

  /** Ends the looks. One that waits for a Redis that is away is not waited for. */
  async close(): Promise<void> {
    await within(this.#rounds.close(), endMsMax);
  }

  async #look(): Promise<void> {
    const { folder, places, redis, keys } = this.#options;
    const orders = await readOrders(redis, keys);
    const isUrgent = orders.revision !== this.#orders.revision;
    const changed = await folder.look({ isUrgent });
    this.#orders = orders;
    this.#noteChanges(changed);
    this.#leftOutLog.update(folder.leftOut);
    await this.#reportFaults();
    const mayLoad = ({ queue }: Model) =>
      !places.get(queue) &&
      !this.#losses.get(queue)?.isPaused &&
      this.#faults.get(queue)?.state !== 'out';
    const next = this.#wanted.find(mayLoad);
    if (next && !this.#isLoading) {
      this.#isLoading = true;
      void this.#load(next).finally(() => {
        this.#isLoading = false;
      });
    }
    for (const place of places.all) {
      if (!this.#isWanted(place.model.queue)) await this.#unload(place);
    }
    this.#forgetGone();
  }

  /** A model that still drains may be lost again, and its pauses have to grow. */
  #forgetGone(): void {
    for (const [queue, { isPaused }] of this.#losses) {
      const isHere = isPaused || this.#options.places.get(queue) || this.#isWanted(queue);
      if (!isHere) this.#losses.delete(queue);
    }
  }

  /** The models in the folder that are not unloaded. */
  get #wanted(): readonly Model[] {
    const { models } = this.#options.folder;
    return models.filter(({ name }) => !this.#orders.unloaded.has(name));
  }

  #isWanted(queue: string): boolean {
    return this.#wanted.some((model) => model.queue === queue);
  }

  async #load(model: Model): Promise<void> {
    const place = this.#options.places.open(model);
    if (place) await this.follow(place);
  }

  /** Follows a model that is being loaded. Resolves when it is ready or left out, or its place was closed. */
  async follow(place: Place): Promise<void> {
    const { places, log } = this.#options;
    const { model } = place;
    const { name, version, queue } = model;
    const load: Load = { name, revision: this.#orders.revision, isOutdated: false };
    this.#loads.add(load);
    try {
      await place.open;
      if (places.get(queue) !== place) return;
      const fault = this.#faults.get(queue);
      if (fault) fault.state = 'loaded';
      log.info({ model: name, version }, 'a version is ready');
    } catch (thrown) {
      // Nobody wants a model whose place was closed meanwhile.
      if (places.get(queue) !== place) return;
      const error = whyLeftOut(name, thrown);
      this.#note(model, error, load);
      logLeftOut(log, [{ name, version, error }]);
      await places.close(place);
    } finally {
      this.#loads.delete(load);
    }
  }

  /** Whether no API instance sends requests to a model, and all that it had are answered. */
  async #isDrained({ queues }: Model): Promise<boolean> {
    const { redis, keys } = this.#options;
    for (const { name } of queues) {
      const senders = await redis.exists(keys.instances(name));
      if (senders > 0) return false;
      const unanswered = await redis.zcount(keys.unanswered(name), nowMs(), '+inf');
      if (unanswered > 0) return false;
    }
    return true;
  }

  /**
   * Unloads a model that is drained. An instance that begins to send to it says so before it looks for workers. So the
   * worker leaves the list of those, and then looks once more: either it sees that instance, or the instance does not
   * see it. A model that is still loading is not on the list, so no instance sees it.
   */
  async #unload(place: Place): Promise<void> {
    const { places, log } = this.#options;
    const { model } = place;
    if (!(await this.#isDrained(model))) return;
    if (place.isListed() && !(await this.#withdraw(place))) return;
    if (places.get(model.queue) !== place) return;
    const { name, version } = model;
    log.info({ model: name, version }, 'a version is drained; unloading it');
    void places.close(place);
  }

  /** Takes the worker off the list of those that have a model. Puts it back, and resolves to false, if that is in use. */
  async #withdraw(place: Place): Promise<boolean> {
    let isDrained = false;
    try {
      await place.withdraw();
      isDrained = await this.#isDrained(place.model);
    } finally {
      if (!isDrained) place.resume();
    }
    return isDrained;
  }

  #note({ name, queue }: Model, error: ScorelineError, { revision, isOutdated }: Load): void {
    const at = performance.now();
    const state = isOutdated ? 'again' : 'out';
    const before = this.#faults.get(queue);
    const tries = before?.revision === revision ? before.tries + 1 : 1;
    this.#faults.set(queue, { name, error, at, revision, tries, state });
  }

  /** Has models tried again whose folders have changed, or that were tried before the last order. */
  #noteChanges(changed: ReadonlySet<string>): void {
    const { revision } = this.#orders;
    for (const fault of this.#faults.values()) {
      const isOutdated = changed.has(fault.name) || fault.revision !== revision;
      if (!isOutdated) continue;
      fault.tries = 0;
      if (fault.state === 'out') fault.state = 'again';
    }
    for (const load of this.#loads) if (changed.has(load.name)) load.isOutdated = true;
  }

  async #reportFaults(): Promise<void> {
    const { workerId, log } = this.#options;
    for (const [queue, fault] of this.#faults) {
      const { error, at, revision, state } = fault;
      if (!this.#isWanted(queue) || state === 'loaded') {
        await clearFault(this.#options, queue, workerId);
        this.#faults.delete(queue);
        continue;
      }
      const { code, message } = error;
      const mayPass = passing.has(code) || this.#losses.has(queue);
      const waitMs = Math.min(againMs.min * 2 ** (fault.tries - 1), againMs.max);
      if (mayPass && state === 'out' && performance.now() - at > waitMs) {
        fault.state = 'again';
        log.info({ model: fault.name, tries: fault.tries }, 'loading a model again that failed');
      }
      await reportFault(this.#options, queue, { workerId, code, message, revision });
    }
  }
}
