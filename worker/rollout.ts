// The rollout in a worker: which models it has while it runs.
//
// It looks at the folder of models, and loads what is new, one model after the other: an engine that loads takes a core.
// A model is announced once it is warm, and only then does an API send requests to it. A model that has left the folder
// or was unloaded stays until no API instance sends to its queues and nothing in them is unanswered. One that cannot
// be loaded is reported, and is tried again when its folder changes or somebody asks.

import { nowMs } from '../shared/clock.js';
import { coerceError, ScorelineError } from '../shared/errors.js';
import type { Keys } from '../shared/keys.js';
import { logLeftOut } from '../shared/left-out.js';
import { type Logger, makeSeldom } from '../shared/log.js';
import type { ModelFolder } from '../shared/model-folder.js';
import type { Model } from '../shared/models.js';
import type { Redis } from '../shared/redis.js';
import {
  clearFault,
  noOrders,
  type Orders,
  readOrders,
  reportFault,
} from '../shared/repository.js';
import { lookFailed, Rounds } from '../shared/rounds.js';
import type { Place } from './place.js';
import type { Places } from './places.js';

/** Memory may be freed by other processes, so a model that did not fit is tried again. */
const memoryAgainMs = 10_000;

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
}

export class Rollout {
  readonly #options: Options;
  /** Why models cannot be loaded, by queue. */
  readonly #faults = new Map<string, Fault>();
  readonly #rounds: Rounds;
  #orders: Orders = noOrders;
  #loading: Promise<void> | undefined;
  /** The reasons that have been logged. */
  #logged = new Set<string>();

  constructor(options: Options) {
    this.#options = options;
    const complain = makeSeldom(options.log);
    this.#rounds = new Rounds(options.everyMs, {
      act: () => this.#look(),
      // While Redis is away, its connection says so.
      onFailure: (error) => {
        if (options.redis.status === 'ready') complain({ err: coerceError(error) }, lookFailed);
      },
    });
  }

  /** Notes that a model could not be loaded when the worker started. */
  note(model: Model, error: ScorelineError): void {
    this.#faults.set(model.queue, { name: model.name, error, at: performance.now() });
  }

  /** Closes the places of models that are unloaded, before they take jobs. */
  async begin(): Promise<void> {
    const { places, redis, keys, folder } = this.#options;
    for (const { error } of folder.leftOut) this.#logged.add(error.message);
    this.#orders = await readOrders(redis, keys);
    for (const place of places.all) {
      if (this.#orders.unloaded.has(place.model.name)) void places.close(place);
    }
    this.#rounds.begin();
  }

  async close(): Promise<void> {
    await this.#rounds.close();
  }

  async #look(): Promise<void> {
    const { folder, places, redis, keys } = this.#options;
    const orders = await readOrders(redis, keys);
    const isUrgent = orders.revision !== this.#orders.revision;
    const changed = await folder.look({ isUrgent });
    this.#orders = orders;
    await this.#forgetFaults((name) => isUrgent || changed.has(name));
    this.#logLeftOut();
    const wanted = folder.models.filter(({ name }) => !orders.unloaded.has(name));
    const isWanted = (queue: string) => wanted.some((model) => model.queue === queue);
    await this.#reportFaults(isWanted);
    const next = wanted.find((model) => !places.get(model.queue) && !this.#faults.has(model.queue));
    if (next && !this.#loading) {
      this.#loading = this.#load(next).finally(() => {
        this.#loading = undefined;
      });
    }
    for (const place of places.all) if (!isWanted(place.model.queue)) await this.#unload(place);
  }

  async #load(model: Model): Promise<void> {
    const { places, log } = this.#options;
    const { name, version } = model;
    const place = places.open(model);
    if (!place) return;
    try {
      await place.open;
      if (places.get(model.queue) === place)
        log.info({ model: name, version }, 'a version is ready');
    } catch (thrown) {
      const error = asFault(model, thrown);
      this.note(model, error);
      logLeftOut(log, [{ name, version, error }]);
      // The place may have been closed meanwhile, since nobody wants the model any more.
      if (places.get(model.queue) === place) await places.close(place);
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
   * see it. A model that is still loading is not on the list, and is left to a later look.
   */
  async #unload(place: Place): Promise<void> {
    const { places, log } = this.#options;
    const { model } = place;
    if (!(await this.#isDrained(model))) return;
    let isDrained = false;
    try {
      isDrained = (await place.withdraw()) && (await this.#isDrained(model));
    } finally {
      if (!isDrained) place.resume();
    }
    if (!isDrained || places.get(model.queue) !== place) return;
    const { name, version } = model;
    log.info({ model: name, version }, 'a version is drained; unloading it');
    void places.close(place);
  }

  /** Forgets the faults of these models, which are then tried again. */
  async #forgetFaults(isMeant: (name: string) => boolean): Promise<void> {
    const { workerId } = this.#options;
    for (const [queue, { name }] of this.#faults) {
      if (!isMeant(name)) continue;
      this.#faults.delete(queue);
      await clearFault(this.#options, queue, workerId);
    }
  }

  async #reportFaults(isWanted: (queue: string) => boolean): Promise<void> {
    const { workerId } = this.#options;
    const { revision } = this.#orders;
    for (const [queue, { error, at }] of this.#faults) {
      const mayFit = error.code === 'memory_insufficient' && performance.now() - at > memoryAgainMs;
      if (!isWanted(queue) || mayFit) {
        this.#faults.delete(queue);
        if (!isWanted(queue)) await clearFault(this.#options, queue, workerId);
      } else {
        const { code, message } = error;
        await reportFault(this.#options, queue, { workerId, code, message, revision });
      }
    }
  }

  /** Logs once what the folder has that cannot be read. */
  #logLeftOut(): void {
    const { folder, log } = this.#options;
    const { leftOut } = folder;
    logLeftOut(
      log,
      leftOut.filter(({ error }) => !this.#logged.has(error.message)),
    );
    this.#logged = new Set(leftOut.map(({ error }) => error.message));
  }
}

/** Returns why a model cannot be loaded. */
export function asFault({ name }: Model, thrown: unknown): ScorelineError {
  if (thrown instanceof ScorelineError) return thrown;
  const cause = coerceError(thrown);
  return new ScorelineError('internal_error', `${name}: unexpected: ${cause.message}`, { cause });
}
