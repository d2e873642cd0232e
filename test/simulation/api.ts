// An API instance of the simulation: the real admission, scoring, dispatcher, replies and stream
// reader between a modelled Redis and modelled clients.

import { EventEmitter } from 'node:events';
import { makeAdmission } from '../../api/admission/admission.js';
import type { InputKinds } from '../../api/kinds/kinds.js';
import { makeDispatcher } from '../../api/queue/dispatcher.js';
import { openReplyStream } from '../../api/queue/reply-stream.js';
import { makeReplies, type Replies } from '../../api/queue/waiters.js';
import { makeResults } from '../../api/repeat/results.js';
import { makeScoring, type Scoring } from '../../api/scoring.js';
import { ScorelineError } from '../../shared/errors.js';
import type { Redis as RealRedis } from '../../shared/redis.js';
import type { BatchJob } from '../../shared/wire.js';
import { encodeNumber } from './inputs.js';
import { neverAgain, type Process } from './network.js';
import type { StreamEntry } from './redis.js';
import type { World } from './world.js';

export interface Api {
  readonly process: Process;
  /** Resolves when it is no more. */
  readonly ended: Promise<void>;
  readonly score: Scoring['score'];
  readonly permits: number;
  readonly waiters: number;
  readonly isClosing: boolean;
  /** Jobs that could not be added. */
  readonly refusedAdds: number;
  isExpected(id: string): boolean;
  crash(): void;
  /** As on SIGTERM: answers what is in flight, then ends. */
  close(): Promise<void>;
}

export async function startApi(world: World, name: string): Promise<Api> {
  const { redis, network, limits } = world;
  const process: Process = { name, isAlive: true };
  const replies = observeReplies(world, makeReplies({ isQueueAway: () => !redis.isUp }));
  let closing = false;
  let jobs = 0;
  let refusedAdds = 0;

  const { producer, reader } = connect(world, process);
  const stream = await openReplyStream({
    instance: name,
    keys: world.keys,
    producer,
    reader,
    onReply: replies.settle,
    onLost: () => replies.failAll(new ScorelineError('queue_lost', 'Redis is empty.')),
    log: world.log,
  });
  const queue = {
    add: async (queue: string, job: BatchJob, payload: ReadonlyMap<string, Buffer>) => {
      const id = `${name}:${jobs++}`;
      world.onAdd(queue, job, replies.isExpected);
      try {
        await network.produce(process, `add ${id}`, () => redis.add(queue, id, job, payload));
      } catch (cause) {
        refusedAdds++;
        throw new ScorelineError('queue_unavailable', 'The queue is away.', { cause });
      }
    },
    cancel: (_queue: string, itemId: string) =>
      network.produce(process, 'cancel', () => redis.cancel(itemId)),
  };
  const admission = makeAdmission({
    ...limits,
    jobsIn: () => (redis.isUp ? redis.countJobs() : undefined),
    peers: { inFlight: () => 0, msFor: () => undefined },
    now: () => performance.now(),
  });
  const dispatcher = makeDispatcher({ instance: name, queue, replies });
  const kind = (isBinary: boolean) => ({
    prepare: async ({ value }: { value: number }) => {
      await network.stepOf(process, `prepare ${value}`);
      if (!world.isReadable(value)) throw new ScorelineError('input_invalid', 'It is unreadable.');
      return encodeNumber(value, isBinary);
    },
  });
  const kinds = { text: kind(false), image: kind(true) } as unknown as InputKinds;
  const { score } = makeScoring({
    admission,
    kinds,
    isClosing: () => closing,
    // No request of the simulation has a key.
    results: makeResults({ redis: producer, keys: world.keys, keepMs: 1, resultsMax: 1 }),
    dispatcher: {
      submit(submission) {
        const ticket = dispatcher.submit(submission);
        world.onSubmit(submission.input, ticket.id);
        return ticket;
      },
    },
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
    score,
    get permits() {
      return admission.inFlight;
    },
    get waiters() {
      return replies.size;
    },
    get isClosing() {
      return closing;
    },
    get refusedAdds() {
      return refusedAdds;
    },
    isExpected: replies.isExpected,
    crash() {
      if (!process.isAlive) return;
      world.onCutOff();
      end();
      // Its timers and listeners go with it.
      replies.failAll(new ScorelineError('internal_error', 'Nobody hears this.'));
      void stream.close();
    },
    async close() {
      closing = true;
      while (world.clients.itemsAt(api) > 0) await redis.change();
      await stream.close();
      if (process.isAlive) end();
    },
  };
  return api;
}

/** Counts how often a waiter is found, so that one that is found twice is noticed. */
function observeReplies(world: World, replies: Replies): Replies {
  return {
    ...replies,
    get size() {
      return replies.size;
    },
    settle: (reply) => {
      const found = replies.settle(reply);
      if (found) world.onSettled(reply.id);
      return found;
    },
    fail: (id, error) => {
      const found = replies.fail(id, error);
      if (found) world.onSettled(id);
      return found;
    },
  };
}

/** The two connections of an API: for short commands, and for the blocking read. */
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

  const producer = {
    on: (name: string, listener: () => void) => events.on(name, listener),
    off: (name: string, listener: () => void) => events.off(name, listener),
    xadd: (key: string, _id: string, ...fields: string[]) =>
      network.produce(process, 'create the stream', () =>
        redis.xadd(key, { creates: true }, fields),
      ),
    pexpire: async () => 1,
    unlink: (key: string) => network.produce(process, 'unlink', () => redis.unlink(key)),
    multi: () => {
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
  /** Waits as XREAD BLOCK does; undefined when the connection is closed meanwhile. */
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
