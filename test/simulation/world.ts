// The world of a simulation: API instances, workers, clients and Redis. Lets events happen to them, and
// checks the invariants after every step.

import type { Scheduler } from 'fast-check';
import { vi } from 'vitest';
import { nowMs } from '../../shared/clock.js';
import { makeLogger } from '../../shared/process/log.js';
import { makeKeys } from '../../shared/redis/keys.js';
import type { Tensor } from '../../shared/tensors/tensors.js';
import type { BatchJob, PackedJob } from '../../shared/wire/job.js';
import { shapeKey } from '../../worker/batch/inputs/stack.js';
import type { ScorerItem } from '../../worker/batch/scorer.js';
import { everythingDone, runTimers, setClockBack } from '../unit/clock.js';
import { makeSampleModel } from '../unit/sample-model.js';
import { type Api, startApi } from './api.js';
import { makeClients } from './clients.js';
import { type Input, numberOf } from './inputs.js';
import { makeNetwork, type Process } from './network.js';
import { makeRedis, type QueuedJob } from './redis.js';
import { type Ask, type Event, longMs, type Scenario } from './scenario.js';
import { startWorker, type Worker } from './worker.js';

/** More steps than any run needs, so a run that takes more will never end. */
const stepsMax = 5000;
/** The grace period of workers at the end of a run. They must end without using it up. */
const graceMs = 31_000;
/** More timers than dead processes can leave behind. */
const deadTimersMax = 1000;

/** The interval at which a worker looks for a second job, and for the end of taking. */
const lookMs = 2;

const keys = makeKeys('simulation');
const log = makeLogger({ role: 'simulation', level: 'silent' });

export type World = ReturnType<typeof makeWorld>;

/** Runs a scenario. Returns the invariants that were broken. */
export async function simulate(scheduler: Scheduler, scenario: Scenario): Promise<string[]> {
  setClockBack();
  const faults = new Set<string>();
  const must = (holds: boolean, what: string) => {
    if (!holds) faults.add(what);
  };
  const world = makeWorld(scheduler, scenario, must);
  const { clients, redis, apis } = world;
  let steps = 0;
  let isOver = false;

  /** Runs step by step until the condition holds. Moves the clock when no step is left. */
  const goOnUntil = async (what: string, holds: () => boolean) => {
    await everythingDone();
    while (!holds() || scheduler.count() > 0) {
      if (++steps > stepsMax || (scheduler.count() === 0 && vi.getTimerCount() === 0)) {
        return must(false, `this never happens: ${what}`);
      }
      if (scheduler.count() > 0) void scheduler.waitOne();
      else vi.advanceTimersToNextTimer();
      await everythingDone();
      world.check();
      if (faults.size > 0) return;
    }
  };
  const script = async () => {
    for (const event of scenario.events) {
      await world.network.step(event.kind);
      world.happen(event);
    }
    redis.garbleNext();
    isOver = true;
  };

  world.open();
  await goOnUntil('everything has started', () => apis.length === scenario.apis);
  void script();
  await goOnUntil(
    'everyone is answered and everything is at rest',
    () => isOver && clients.open.size === 0 && redis.countJobs() === 0 && world.isAtRest(),
  );
  if (faults.size > 0) return [...faults];

  const outcomes = apis.flatMap((_, api) =>
    [0, 1].map((model) => clients.ask({ ...sureAsk, api, model }, apis[api] as Api)),
  );
  await goOnUntil(
    'the last requests are answered',
    () => clients.open.size === 0 && world.isAtRest(),
  );
  if (faults.size > 0) return [...faults];
  must(
    (await Promise.all(outcomes)).every((outcome) => outcome === 'answered'),
    'it is broken',
  );
  for (const input of clients.inputs) {
    must(input.deaths <= input.deathsMax, 'an input is tried too often');
  }

  await world.close(goOnUntil);
  return [...faults];
}

const sureAsk: Omit<Ask, 'api' | 'model'> = {
  kind: 'ask',
  natures: ['good'],
  size: 4,
  deadlineMs: longMs,
  hangsUp: false,
};

function makeWorld(
  scheduler: Scheduler,
  scenario: Scenario,
  must: (holds: boolean, what: string) => void,
) {
  const { batchMax, permitsMax, itemsMax } = scenario;
  const redis = makeRedis();
  const network = makeNetwork(scheduler, redis);
  const batch = { max: batchMax, waitMs: scenario.waitMs };
  const shared = { batch, runMsMax: 1000, deadlineMs: longMs };
  const pixel = { kind: 'image', width: 1, height: 1, tensor: 'uint8-nhwc' };
  const models = [
    makeSampleModel({ ...shared, name: 'texts' }),
    makeSampleModel({ ...shared, name: 'bytes', input: pixel }),
  ];
  const limits = { permitsMax, itemsMax };
  // A batch takes a millisecond, so a job holds eight of them.
  const jobItemsMax = 8 * batchMax;
  const clients = makeClients({ must, network, redis, models, limits });
  const apis: Api[] = [];
  const workers: Worker[] = [];
  const inputsById = new Map<string, Input>();
  const inputOf = (id: string) => inputsById.get(id) as Input;
  let started = 0;
  let leaving = 0;
  let isSomethingCutOff = false;
  let isClosing = false;

  const world = {
    ...{ must, redis, network, models, limits, keys, log, clients, apis, workers },
    isReadable: (number: number) => clients.inputs[number]?.nature !== 'unreadable',

    // API instances and workers report what they do.
    onSubmit(inputs: readonly Tensor[], id: string) {
      const input = clients.inputs[numberOf(inputs)] as Input;
      must(input.id === undefined, 'an input is submitted twice');
      input.id = id;
      input.submittedAt = nowMs();
      inputsById.set(id, input);
    },
    onSettled(id: string) {
      const input = inputsById.get(id);
      must(input !== undefined, 'a reply to an unknown item found a waiter');
      if (input) must(++input.settled === 1, 'an item is settled twice');
    },
    onAdd(queue: string, { items }: BatchJob, isExpected: (id: string) => boolean) {
      const isText = queue.startsWith('texts');
      must(items.length > 0 && items.length <= jobItemsMax, 'a job has a wrong size');
      must(
        items.every(({ id }) => isExpected(id)),
        'an item without a waiter is sent',
      );
      must(
        items.every(({ inputs }) => (inputs[0]?.datatype === 'BYTES') === isText),
        'an item is in the job of another model',
      );
    },
    onTake({ itemIds, stalls }: QueuedJob) {
      // An input is tried in its batch, or in quarantine: once with its neighbours and once alone.
      for (const id of itemIds) inputOf(id).deathsMax += stalls > 0 ? 2 : 1;
    },
    onAbandoned(process: Process, id: string) {
      inputOf(id).abandonedAt.add(process.name);
    },
    onStrike(id: string) {
      inputOf(id).strikes++;
    },
    /** Checks that a job failed only because Redis refused a command. */
    onRejected({ message }: Error) {
      must(/OOM|Missing/.test(message), `a job is not done: ${message}`);
    },
    /** Checks a batch that is about to run, and returns its inputs. */
    startBatch(process: Process, items: readonly ScorerItem[]): Input[] {
      const batch = items.map(({ inputs }) => clients.inputs[numberOf(inputs)] as Input);
      must(batch.length > 0 && batch.length <= batchMax, 'a batch has a wrong size');
      must(new Set(batch).size === batch.length, 'an item is in its batch twice');
      const keys = new Set(items.map(({ inputs }) => shapeKey(inputs)));
      must(keys.size === 1, 'items of different shapes share a run');
      for (const input of batch) {
        must(input.deadlineAt > nowMs(), 'an item is started after its deadline');
        must(!input.abandonedAt.has(process.name), 'a cancelled item is started');
      }
      return batch;
    },
    /** Replaces a process that has ended. */
    onEnd(ended: Api | Worker) {
      if ('places' in ended) {
        workers.splice(workers.indexOf(ended), 1);
        if (!isClosing) void network.step('a worker is started').then(openWorker);
      } else {
        apis.splice(apis.indexOf(ended), 1);
        clients.disconnect(ended);
        if (!isClosing) void network.step('an API is started').then(openApi);
      }
    },
    /** Notes that a process ended in the middle of its work and may leave timers behind. */
    onCutOff() {
      isSomethingCutOff = true;
    },

    // The scenario's events.
    open() {
      for (let count = 0; count < scenario.apis; count++) void openApi();
      for (let count = 0; count < scenario.workers; count++) openWorker();
    },
    happen(event: Event): void {
      if (event.kind === 'ask') {
        const api = pick(apis, event.api);
        if (api) void clients.ask(event, api);
      }
      if (event.kind === 'pass') vi.advanceTimersByTime(event.ms);
      if (event.kind === 'a worker crashes') pick(workers, event.at)?.crash();
      if (event.kind === 'locks run out') pick(workers, event.at)?.loseLocks();
      if (event.kind === 'a worker leaves') {
        leave(pick(workers, event.at), (worker) => worker.close(event.graceMs));
      }
      if (event.kind === 'an API crashes') pick(apis, event.at)?.crash();
      if (event.kind === 'an API leaves') leave(pick(apis, event.at), (api) => api.close());
      if (event.kind === 'Redis is away') loseRedis(event);
      if (event.kind === 'a job is garbled') {
        redis.garbleNext((job) => {
          for (const { id } of job.items) inputOf(id).isGarbled = true;
          return event.isEnvelopeWhole ? { ...job, wire: 'another' } : garbage(job);
        });
      }
      if (event.kind === 'Redis is full') {
        redis.setFull(true);
        void network.step('Redis has room again').then(() => redis.setFull(false));
      }
    },

    /** Checks the invariants, after every step. */
    check() {
      clients.checkDeadlines();
      for (const api of apis) {
        must(api.permits === clients.itemsAt(api), 'the permits do not match the requests');
        must(api.permits <= permitsMax, 'there are more permits than allowed');
        must(api.waiters <= api.permits, 'an item waits without a permit');
      }
      for (const place of workers.flatMap(({ places }) => places)) {
        for (const isSuspect of [true, false]) {
          const jobs = [...place.inProcess.values()].filter((job) => job.isSuspect === isSuspect);
          const items = jobs.reduce((sum, job) => sum + job.items, 0);
          // A worker may hold two jobs, or one more as long as it has fewer items than two batches.
          const isWithin = jobs.length <= 2 || items < 2 * batchMax + jobItemsMax;
          must(isWithin, 'a worker holds more items than it may');
        }
      }
    },
    isAtRest: () =>
      leaving === 0 &&
      models.every(({ queue }) => redis.countUnanswered(queue) === 0) &&
      apis.every(({ process }) => redis.exists(keys.replies(process.name))) &&
      apis.every(({ permits, waiters }) => permits === 0 && waiters === 0) &&
      workers.every(({ places }) =>
        places.every(
          ({ inProcess, batches, jobsMax }) =>
            inProcess.size === 0 && batches === 0 && jobsMax === 1,
        ),
      ),
    async close(goOnUntil: (what: string, holds: () => boolean) => Promise<void>) {
      isClosing = true;
      for (const worker of [...workers]) leave(worker, () => worker.close(graceMs));
      for (const api of [...apis]) leave(api, () => api.close());
      const since = nowMs();
      await goOnUntil('everything has ended', () => leaving === 0);
      must(nowMs() - since < graceMs, 'a worker uses up its grace period');
      // Let workers end that are just about to look for their next job.
      vi.advanceTimersByTime(lookMs);
      await everythingDone();
      // The work of dead processes goes on here, but it must come to an end.
      if (isSomethingCutOff) await runTimers(undefined, deadTimersMax);
      must(vi.getTimerCount() === 0, 'a timer is left behind');
    },
  };

  const openWorker = () => void workers.push(startWorker(world, `worker ${++started}`));
  const openApi = async (): Promise<void> => {
    try {
      apis.push(await startApi(world, `api ${++started}`));
    } catch {
      await network.step('an API is started again');
      return openApi();
    }
  };

  /** Shuts a process down in order, unless it dies meanwhile. */
  const leave = <P extends Api | Worker>(one: P | undefined, close: (one: P) => Promise<void>) => {
    if (!one) return;
    leaving++;
    void Promise.race([close(one), one.ended]).then(() => {
      leaving--;
    });
  };
  const loseRedis = ({ isEmpty, losesLocks }: { isEmpty: boolean; losesLocks: boolean }) => {
    if (!redis.isUp) return;
    redis.goAway();
    void network.step('Redis is back').then(() => {
      if (losesLocks) for (const worker of workers) worker.loseLocks();
      redis.comeBack({ isEmpty });
    });
  };
  return world;
}

/** Damages a job so badly that not even its envelope can be read. */
function garbage(job: PackedJob): unknown {
  return { wire: job.wire, items: 'gone' };
}

function pick<T>(some: readonly T[], at: number): T | undefined {
  return some[at % some.length];
}
