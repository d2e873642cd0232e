// A worker of the simulation. The consumer, batcher, quarantine and sender of replies are real. BullMQ's
// worker, the engine and the quarantine's process are models.

import type { ChildProcess } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { nowMs } from '../../shared/clock.js';
import type { Redis as RealRedis } from '../../shared/redis/redis.js';
import type { Model } from '../../shared/registry/models.js';
import type { ScorerItem } from '../../worker/batch/scorer.js';
import type { Cells } from '../../worker/quarantine/cells.js';
import type { ToQuarantine } from '../../worker/quarantine/messages.js';
import { makeQuarantine } from '../../worker/quarantine/quarantine.js';
import { type Consumer, makeConsumer } from '../../worker/queue/consumer.js';
import type { Queue } from '../../worker/queue/queue.js';
import { makeSendReplies } from '../../worker/queue/replies.js';
import { makeResults } from '../../worker/queue/results.js';
import { type Input, isFatal, scoreOf } from './inputs.js';
import { neverAgain, type Process } from './network.js';
import { type JobInProcess, makeTaking } from './taking.js';
import type { World } from './world.js';

/** What the simulation sees of one model of a worker. */
interface Place {
  readonly consumer: Consumer;
  readonly closeQuarantine: () => void;
  /** The jobs in process, by id. */
  readonly inProcess: ReadonlyMap<string, JobInProcess>;
  readonly jobsMax: number;
  /** How many batches the engine has and has not returned. */
  readonly batches: number;
}

export interface Worker {
  readonly process: Process;
  /** Resolves when the process has ended. */
  readonly ended: Promise<void>;
  readonly places: readonly Place[];
  /** Ends at once. The jobs that it held stall. */
  crash(): void;
  /** Lets its locks expire while it lives, as after a long pause. */
  loseLocks(): void;
  /** Shuts down, as on SIGTERM. */
  close(graceMs: number): Promise<void>;
}

export function startWorker(world: World, name: string): Worker {
  const process: Process = { name, isAlive: true };
  const children = new Set<ModelledChild>();
  /** The locks of this worker: token → job. */
  const locks = new Map<string, { queue: string; id: string }>();

  let markEnded = () => {};
  const ended = new Promise<void>((resolve) => {
    markEnded = resolve;
  });

  const end = () => {
    process.isAlive = false;
    for (const child of children) child.vanish();
    loseLocks();
    world.onEnd(worker);
    markEnded();
  };
  const crash = () => {
    if (!process.isAlive) return;
    world.onCutOff();
    end();
  };
  const stallLater = async (token: string) => {
    const lock = locks.get(token);
    locks.delete(token);
    if (!lock) return;
    await world.network.step(`the lock of ${lock.id} runs out`);
    while (!world.redis.isUp) await world.redis.change();
    world.redis.stall(lock.queue, lock.id, token);
  };
  const loseLocks = () => {
    for (const token of [...locks.keys()]) void stallLater(token);
  };

  const context: WorkerContext = { world, process, crash, children, locks, stallLater };
  const places = world.models.map((model) => startPlace(context, model));
  const worker: Worker = {
    process,
    ended,
    places,
    crash,
    loseLocks,
    close: async (graceMs) => {
      await Promise.all(places.map(({ consumer }) => consumer.close(graceMs)));
      for (const { closeQuarantine } of places) closeQuarantine();
      if (process.isAlive) end();
    },
  };
  return worker;
}

export interface WorkerContext {
  readonly world: World;
  readonly process: Process;
  readonly crash: () => void;
  readonly children: Set<ModelledChild>;
  readonly locks: Map<string, { queue: string; id: string }>;
  readonly stallLater: (token: string) => Promise<void>;
}

function startPlace(context: WorkerContext, model: Model): Place {
  const { world, process, children } = context;
  const { log } = world;
  const { scorer, countBatches } = makeScorer(context, model);
  const taking = makeTaking(context, model);
  const cells: Cells = {
    take: () => {
      const child = new ModelledChild(context, model.manifest.runMsMax);
      children.add(child);
      return child as unknown as ChildProcess;
    },
    close: () => {},
  };
  const redis = {
    status: 'ready',
    xadd: (stream: string, ...[, , , , , , packed]: [...string[], Buffer]) =>
      world.network.consume(process, 'reply', () =>
        world.redis.xadd(stream, { creates: false }, ['replies', packed as Buffer]),
      ),
    zrem: (_set: string, ...ids: string[]) =>
      world.network.consume(process, 'uncount', () => world.redis.answer(model.queue, ids)),
  } as unknown as RealRedis;
  const [queue] = model.queues;
  if (!queue) throw new Error('A model has a queue.');
  const quarantine = makeQuarantine({ model, cells, log });
  const consumer = makeConsumer({
    model,
    scorer,
    log,
    queue: makeQueue(context, model, taking.take),
    quarantine,
    kept: makeResults({ redis, keys: world.keys, log }),
    sendReplies: makeSendReplies({ queue, priority: 'interactive', redis, keys: world.keys, log }),
  });
  return {
    consumer,
    closeQuarantine: () => quarantine.close(),
    inProcess: taking.inProcess,
    get jobsMax() {
      return taking.jobsMax();
    },
    get batches() {
      return countBatches();
    },
  };
}

function makeQueue({ world, process }: WorkerContext, model: Model, take: Queue['take']): Queue {
  const { redis, network } = world;
  return {
    take,
    placeOf: (id) => ({ id, job: id, active: 'active' }),
    readPayload: (id, fields) =>
      network.consume(process, 'payload', () => redis.readPayload(id, fields)),
    dropPayload: (id) => {
      void network.consume(process, 'drop payload', () => redis.dropPayload(id));
    },
    readCancelled: async (itemIds) => {
      const answers = await network.consume(process, 'cancelled', () =>
        itemIds.map(redis.isCancelled),
      );
      for (const [at, id] of itemIds.entries()) if (answers[at]) world.onAbandoned(process, id);
      return answers;
    },
    readUnanswered: (itemIds) =>
      network.consume(process, 'unanswered', () =>
        itemIds.map((id) => redis.isUnanswered(model.queue, id)),
      ),
    count: () => {},
    addStrike: (_id, itemId) =>
      network.consume(process, `strike ${model.name}`, () => {
        world.onStrike(itemId);
        return redis.addStrike(itemId);
      }),
    clearStrikes: (_id, itemId) =>
      network.consume(process, 'clear strikes', () => redis.clearStrikes(itemId)),
  };
}

/** Makes the engine. It runs batches one after the other, and crashes the worker if an input says so. */
function makeScorer({ world, process, crash }: WorkerContext, model: Model) {
  let batches = 0;
  let last: Promise<void> = Promise.resolve();

  const score = async (items: readonly ScorerItem[]) => {
    batches++;
    world.must(batches <= 2, 'more than two batches are handed over');
    const inputs = world.startBatch(process, items);
    const before = last;
    let done = () => {};
    last = new Promise((resolve) => {
      done = resolve;
    });
    await before;
    await world.network.stepOf(process, `run ${inputs.map(({ number }) => number)}`);
    if (inputs.some(isFatal)) {
      if (inputs.some(({ nature }) => nature === 'kills')) endBy(inputs, crash);
      else setTimeout(() => process.isAlive && endBy(inputs, crash), model.manifest.runMsMax);
      return neverAgain();
    }
    batches--;
    done();
    return { results: inputs.map(scoreOf), computeMs: 1 };
  };
  return { scorer: { score }, countBatches: () => batches };
}

function endBy(inputs: readonly Input[], end: () => void) {
  for (const input of inputs) if (isFatal(input)) input.deaths++;
  end();
}

/** A model of the quarantine's process. */
class ModelledChild extends EventEmitter {
  readonly #context: WorkerContext;
  readonly #runMsMax: number;
  #isOver = false;
  /** The inputs that it runs, which are blamed if it is killed. */
  #inputs: readonly Input[] = [];
  #startedAt = 0;

  constructor(context: WorkerContext, runMsMax: number) {
    super();
    this.#context = context;
    this.#runMsMax = runMsMax;
  }

  send(message: ToQuarantine): void {
    const { world, process } = this.#context;
    if (this.#isOver)
      return void queueMicrotask(() => this.emit('error', new Error('It is gone.')));
    if ('model' in message) {
      return void this.#later('a cell opens', () => this.emit('message', { event: 'ready' }));
    }
    const inputs = world.startBatch(process, message);
    this.#inputs = inputs;
    this.#startedAt = nowMs();
    void this.#later(`quarantine of ${inputs.map(({ number }) => number)}`, () => {
      if (inputs.some(({ nature }) => nature === 'kills')) return this.kill();
      if (inputs.some(({ nature }) => nature === 'hangs')) return;
      this.#inputs = [];
      this.emit('message', { event: 'scored', results: inputs.map(scoreOf) });
    });
  }

  kill(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const { network } = this.#context.world;
    const [only, ...others] = this.#inputs;
    const isOverLimit = nowMs() - this.#startedAt >= this.#runMsMax;
    if (only && others.length === 0 && isOverLimit) only.isTooSlow = true;
    void network.stepOf(this.#context.process, 'a cell ends').then(() => {
      endBy(this.#inputs, () => this.emit('exit', null, 'SIGKILL'));
      this.#context.children.delete(this);
    });
  }

  /** Ends the process without an event, because its worker has died. */
  vanish(): void {
    this.#isOver = true;
  }

  async #later(what: string, action: () => void) {
    await this.#context.world.network.stepOf(this.#context.process, what);
    if (!this.#isOver) action();
  }
}
