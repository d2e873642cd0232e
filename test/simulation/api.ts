// An API instance of the simulation. The calls, admission, scoring, dispatcher, waiters and stream reader
// are real. Redis and the clients are models.

import { EventEmitter } from 'node:events';
import { Admission } from '../../api/admission/admission.js';
import { makeByteBudget } from '../../api/admission/byte-budget.js';
import { ResponseCache } from '../../api/cache/response-cache.js';
import { Calls } from '../../api/call/calls.js';
import type { InputKinds } from '../../api/kinds/kinds.js';
import { Dispatcher } from '../../api/queue/dispatcher.js';
import { ReplyStream } from '../../api/queue/reply-stream.js';
import { makeWaiters, type Waiters } from '../../api/queue/waiters.js';
import { makeReadLarge } from '../../api/repeat/large-results.js';
import { makeRepeatable } from '../../api/repeat/repeatable.js';
import { makeResults } from '../../api/repeat/results.js';
import { makeScoring, type Scoring } from '../../api/scoring.js';
import { Statistics } from '../../api/statistics.js';
import { ScorelineError } from '../../shared/errors.js';
import type { Redis as RealRedis } from '../../shared/redis/redis.js';
import { type BatchJob, encodeJob } from '../../shared/wire/job.js';
import { encodeNumber } from './inputs.js';
import { neverAgain, type Process } from './network.js';
import type { StreamEntry } from './redis.js';
import type { World } from './world.js';

export interface Api {
  readonly process: Process;
  /** Resolves when the process has ended. */
  readonly ended: Promise<void>;
  readonly calls: Calls;
  readonly score: Scoring['score'];
  readonly permits: number;
  permitsOf(queue: string): number;
  readonly waiters: number;
  /** How many jobs could not be added. */
  readonly refusedAdds: number;
  isExpected(id: string): boolean;
  crash(): void;
  /** Answers the requests in flight and then ends, as on SIGTERM. */
  close(): Promise<void>;
}

export async function startApi(world: World, name: string): Promise<Api> {
  const { redis, limits } = world;
  const process: Process = { name, isAlive: true };
  const waiters = observeWaiters(world, makeWaiters());
  const fail = (code: 'queue_lost' | 'internal_error') =>
    waiters.failAll(new ScorelineError(code, 'It is over.'));

  const { producer, reader } = connect(world, process);
  const stream = await ReplyStream.open({
    instance: name,
    keys: world.keys,
    producer,
    reader,
    onReply: waiters.settle,
    onUnreadable: () => world.must(false, 'a reply cannot be read'),
    onLost: () => fail('queue_lost'),
    log: world.log,
  });
  const queue = makeModelledQueue(world, { process, isExpected: waiters.isExpected });
  const admission = new Admission({
    callerShare: 1,
    ...limits,
    unansweredIn: (name) => (redis.isUp ? redis.countUnanswered(name) : undefined),
    countModels: () => world.models.length,
    peers: { inFlight: () => 0, msFor: () => undefined },
    now: () => performance.now(),
  });
  const calls = new Calls({
    admission,
    bodies: makeByteBudget(1),
    whyLate: () =>
      new ScorelineError(redis.isUp ? 'deadline_exceeded' : 'queue_unavailable', 'It is late.'),
  });
  const dispatcher = new Dispatcher({ instance: name, queue, waiters });
  // The simulation sends no requests with a key.
  const none = { resultsMax: 1, bytesMax: 1 };
  const results = makeResults({
    redis: producer,
    keys: world.keys,
    keepMs: 1,
    limits: none,
    callerLimits: none,
    readLarge: makeReadLarge(producer, world.keys),
  });
  const { score } = makeScoring({
    kinds: makeModelledKinds(world, process),
    repeatable: makeRepeatable({ calls, results }),
    cache: new ResponseCache({ entries: { read: async () => undefined, write: () => {} } }),
    deferring: { score: () => Promise.reject(new Error('The simulation has no jobs.')) },
    dispatcher: observeDispatcher(world, dispatcher),
    statistics: new Statistics(),
  });

  let markEnded = () => {};
  const ended = new Promise<void>((resolve) => {
    markEnded = resolve;
  });
  const end = () => {
    process.isAlive = false;
    world.onEnd(api);
    markEnded();
  };
  const api: Api = {
    process,
    ended,
    calls,
    score,
    get permits() {
      return admission.inFlight;
    },
    permitsOf: (queue) => admission.traffic(queue).inFlight,
    get waiters() {
      return waiters.size;
    },
    get refusedAdds() {
      return queue.refusedAdds;
    },
    isExpected: waiters.isExpected,
    crash() {
      if (!process.isAlive) return;
      world.onCutOff();
      end();
      // A crash also ends its timers and listeners.
      fail('internal_error');
      void stream.close();
    },
    async close() {
      calls.shutDown();
      while (world.clients.itemsAt(api) > 0) await redis.change();
      await stream.close();
      if (process.isAlive) end();
    },
  };
  return api;
}

/** Makes the queue for the dispatcher. It encodes jobs in the real wire format. */
function makeModelledQueue(
  { redis, network, onAdd }: World,
  { process, isExpected }: { process: Process; isExpected: Waiters['isExpected'] },
) {
  let jobs = 0;
  const queue = {
    refusedAdds: 0,
    add: async (name: string, batch: BatchJob) => {
      const id = `${process.name}:${jobs++}`;
      onAdd(name, batch, isExpected);
      const { job, payload } = encodeJob(batch);
      const unanswered = batch.items.map((item) => [item.id, item.deadlineAt] as const);
      // Redis does these in this order. Each may fail alone.
      const [counted] = await Promise.allSettled([
        network.produce(process, `count ${id}`, () => redis.count(name, unanswered)),
      ]);
      const [added] = await Promise.allSettled([
        network.produce(process, `add ${id}`, () => redis.add(name, id, { job, payload })),
      ]);
      for (const each of [added, counted]) {
        if (each.status === 'fulfilled') continue;
        queue.refusedAdds++;
        const ids = unanswered.map(([itemId]) => itemId);
        queue.uncount(name, ids);
        throw new ScorelineError('queue_unavailable', 'The queue is away.', { cause: each.reason });
      }
    },
    uncount: (name: string, itemIds: readonly string[]) => {
      const answered = () => redis.answer(name, itemIds);
      network.produce(process, 'uncount', answered).catch(() => {});
    },
    cancel: (name: string, itemId: string) =>
      network.produce(process, 'cancel', () => redis.cancel(name, itemId)),
  };
  return queue;
}

/** Makes kinds whose inputs are numbers. Preparing one takes a step that cannot be cut short. */
function makeModelledKinds({ network, clients, isReadable }: World, process: Process): InputKinds {
  const kind = (isBinary: boolean) => ({
    prepare: async ({ value }: { value: number }) => {
      clients.onPrepare(value, 1);
      await network.stepOf(process, `prepare ${value}`);
      clients.onPrepare(value, -1);
      if (!isReadable(value)) throw new ScorelineError('input_invalid', 'It is unreadable.');
      return [encodeNumber(value, { isBinary, size: clients.inputs[value]?.size ?? 4 })];
    },
  });
  return { text: kind(false), image: kind(true) } as unknown as InputKinds;
}

function observeDispatcher(world: World, dispatcher: Dispatcher): Pick<Dispatcher, 'submit'> {
  return {
    submit(submission) {
      for (const { id, inputs } of submission.items) world.onSubmit(inputs, id);
      return dispatcher.submit(submission);
    },
  };
}

/** Reports every settled waiter to the world, which notices one that is settled twice. */
function observeWaiters(world: World, waiters: Waiters): Waiters {
  return {
    ...waiters,
    get size() {
      return waiters.size;
    },
    settle: (reply) => {
      const found = waiters.settle(reply);
      if (found) world.onSettled(reply.id);
      return found;
    },
    fail: (id, error) => {
      const found = waiters.fail(id, error);
      if (found) world.onSettled(id);
      return found;
    },
  };
}

/** Makes the two connections of an API: for short commands, and for the blocking read. */
function connect({ redis, network }: World, process: Process) {
  const events = new EventEmitter();
  let isConnected = true;
  const readyWhenBack = async () => {
    let { connection } = redis;
    while (process.isAlive && isConnected) {
      await redis.change();
      if (!redis.isUp || redis.connection === connection) continue;
      connection = redis.connection;
      await network.stepOf(process, 'is connected again');
      events.emit('ready');
    }
  };
  void readyWhenBack();

  const listening = {
    on: (name: string, listener: () => void) => events.on(name, listener),
    off: (name: string, listener: () => void) => events.off(name, listener),
  };
  const producer = {
    ...listening,
    xadd: (key: string, _id: string, ...fields: string[]) =>
      network.produce(process, 'create the stream', () =>
        redis.xadd(key, { creates: true }, fields),
      ),
    pexpire: async () => 1,
    get: (key: string) => network.produce(process, 'get', () => redis.get(key)),
    set: (key: string, text: string) =>
      network.produce(process, 'set', () => redis.setIfAbsent(key, text)),
    unlink: (key: string) => network.produce(process, 'unlink', () => redis.unlink(key)),
    pipeline: () => {
      let trim = () => {};
      let exists = () => false;
      const commands = {
        xtrim: (key: string, _minId: string, id: string) => {
          trim = () => redis.xtrim(key, id);
          return commands;
        },
        pexpire: (key: string) => {
          exists = () => redis.exists(key);
          return commands;
        },
        exec: () =>
          network.produce(process, 'upkeep', () => {
            trim();
            return [
              [null, 0],
              [null, Number(exists())],
            ];
          }),
      };
      return commands;
    },
  };

  const reader = {
    ...listening,
    disconnect: () => {
      isConnected = false;
      redis.notify();
    },
    async xreadBuffer(...parameters: (string | number)[]) {
      const [key, lastId] = parameters.slice(-2) as [string, string];
      for (;;) {
        await network.stepOf(process, 'read');
        const entries = await nextEntries(key, lastId, Number(parameters[3]));
        if (entries === undefined) throw new Error('Connection is closed.');
        const { connection } = redis;
        await network.stepOf(process, 'read, answer');
        if (redis.connection !== connection) continue;
        return entries.length === 0 ? null : [[key, entries.map(({ id, fields }) => [id, fields])]];
      }
    },
  };
  /** Waits as XREAD BLOCK does. Returns undefined if the connection is closed meanwhile. */
  const nextEntries = async (
    key: string,
    lastId: string,
    blockMs: number,
  ): Promise<readonly StreamEntry[] | undefined> => {
    let isOver = false;
    const timer = setTimeout(() => {
      isOver = true;
      redis.notify();
    }, blockMs);
    try {
      for (;;) {
        if (!process.isAlive) return await neverAgain();
        if (!isConnected) return undefined;
        const entries = redis.isUp ? redis.xread(key, lastId) : [];
        if (entries.length > 0 || (isOver && redis.isUp)) return entries;
        await redis.change();
      }
    } finally {
      clearTimeout(timer);
    }
  };
  return { producer: producer as unknown as RealRedis, reader: reader as unknown as RealRedis };
}
