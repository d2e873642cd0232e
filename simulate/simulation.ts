// A simulation of one scenario: items arrive, are admitted, wait, and are scored in batches; KEDA and the
// autoscaler look at the number of unanswered ones and change the number of workers; workers need places on
// machines. Time is simulated, and all chance comes from the seed, so a run can be repeated exactly.

import { makeRandom } from '../chaos/random.js';
import { makeBehavior } from '../k8s/scaling.js';
import { Activation } from './activation.js';
import { Autoscaler, syncMs } from './autoscaler.js';
import { makeBatchTime } from './batch-time.js';
import { Events } from './events.js';
import { makeArrivals } from './load.js';
import { type Outcome, quantile, type Run } from './outcome.js';
import { Pool } from './pool.js';
import { Queue } from './queue.js';
import { Recorder } from './recorder.js';
import { Service } from './service.js';
import { type Load, type ModelFigures, type SimulationValues, secondsOf } from './values.js';
import { Workers } from './workers.js';

/** A client that was refused, or not answered in time, asks again after this time. */
const clientPauseMs = 1000;
const samplesCount = 240;
const hourMs = 3_600_000;

type Values = SimulationValues;
type PoolValues = NonNullable<Values['pools']['cpu']>;

/** The parts of one run. */
interface World {
  readonly events: Events;
  readonly queue: Queue;
  readonly pool: Pool;
  readonly workers: Workers;
  readonly service: Service;
  readonly recorder: Recorder;
}

/** Runs a scenario of the values. */
export function simulate(values: Values, name: string): Run {
  const { scenario, model, pool } = find(values, name);
  const { load } = scenario;
  const endMs = 1000 * secondsOf(load);
  const world = makeWorld(values, { load, model, pool });
  const { events, recorder } = world;
  startScaling(values, model, world);
  startLoad(values, load, world);
  for (const atSeconds of scenario.evictionsAtSeconds) {
    events.after(atSeconds * 1000, () => evict(world));
  }
  const sampleMs = endMs / samplesCount;
  recorder.recordWorkers(observe(world));
  events.every(sampleMs, sampleMs, () => recorder.sample(observe(world)));
  events.runUntil(endMs);
  const costs = { nodeHours: world.pool.paidMs / hourMs, pricePerHour: pool.pricePerHour };
  const { itemsPerWorker, coolDownSeconds } = model.scaling;
  const names = { scenario: name, model: scenario.model, itemsPerWorker, coolDownSeconds };
  return { outcome: { ...names, ...conclude(world, costs) }, samples: recorder.samples };
}

function find(values: Values, name: string) {
  const scenario = values.scenarios[name];
  const model = scenario && values.models[scenario.model];
  const pool = model && values.pools[model.device];
  if (pool) return { scenario, model, pool };
  throw new Error(`Expected a scenario with a model and a pool; got ${name}. This is a bug.`);
}

function makeWorld(
  { api }: Values,
  given: { load: Load; model: ModelFigures; pool: PoolValues },
): World {
  const { load, model, pool: machines } = given;
  const events = new Events();
  const batchTime = makeBatchTime(model.batchMs);
  const { workersPerNode, nodesMin, nodesMax, startSeconds, idleSeconds } = machines;
  const pool = new Pool(
    {
      ...{ workersPerNode, nodesMin, nodesMax },
      startMs: startSeconds * 1000,
      idleMs: idleSeconds * 1000,
    },
    events,
    () => workers.place(),
  );
  const queue = new Queue({
    events,
    batchMax: batchTime.sizeMax,
    deadlineMs: model.deadlineSeconds * 1000,
    permitsMax: api.permitsMax * api.replicas,
    itemsMax: api.itemsMax,
    onSettled: (isAnswered) => {
      if (load.kind !== 'clients') return;
      const pauseMs = isAnswered ? 0 : clientPauseMs;
      if (events.nowMs + pauseMs < load.seconds * 1000) events.after(pauseMs, () => ask(world));
    },
  });
  const workers = new Workers({
    events,
    pool,
    startMs: model.startSeconds * 1000,
    onReady: () => {
      world.recorder.recordWorkers(observe(world));
      service.dispatch();
    },
  });
  const service = new Service({ events, queue, workers, batchTime });
  const world = { events, queue, pool, workers, service, recorder: new Recorder() };
  return world;
}

function ask({ events, recorder, service }: World): void {
  recorder.recordItem(events.nowMs);
  service.arrive();
}

/** Starts KEDA's looks and those of the autoscaler, each at a time of its own. */
function startScaling({ keda, seed }: Values, { scaling }: ModelFigures, world: World): void {
  const { events, queue, workers } = world;
  const { min, max, itemsPerWorker: target } = scaling;
  const activation = new Activation({
    min,
    threshold: keda.activationItems,
    coolDownMs: scaling.coolDownSeconds * 1000,
    initialCoolDownMs: keda.initialCoolDownSeconds * 1000,
  });
  const behavior = makeBehavior(scaling);
  const autoscaler = new Autoscaler({ min: Math.max(min, 1), max, target, behavior });
  const look = (scaler: Activation | Autoscaler) => {
    const wanted = scaler.decide(events.nowMs, queue.unanswered, workers.count);
    if (wanted !== workers.count) workers.scaleTo(wanted);
    world.recorder.recordWorkers(observe(world));
  };
  workers.scaleTo(min);
  const random = makeRandom(seed, 'scaling');
  const pollMs = keda.pollSeconds * 1000;
  events.every(pollMs, random() * pollMs, () => look(activation));
  events.every(syncMs, random() * syncMs, () => look(autoscaler));
}

function startLoad({ seed }: Values, load: Load, world: World): void {
  const { events } = world;
  if (load.kind === 'clients') {
    for (let client = 0; client < load.clients; client++) events.after(0, () => ask(world));
    return;
  }
  const nextArrival = makeArrivals(load.points, makeRandom(seed, 'arrivals'));
  const follow = () => {
    const atMs = nextArrival();
    if (atMs === undefined) return;
    events.after(atMs - events.nowMs, () => {
      ask(world);
      follow();
    });
  };
  follow();
}

function evict(world: World): void {
  const node = world.pool.evict();
  if (node) world.service.lose(node);
  world.recorder.recordWorkers(observe(world));
}

function observe({ events, queue, workers, pool }: World) {
  return {
    nowMs: events.nowMs,
    arrived: queue.arrived,
    unanswered: queue.unanswered,
    workers: workers.count,
    ready: workers.readyCount,
    nodes: pool.nodes,
  };
}

function conclude(
  { queue, workers, service, recorder }: World,
  { nodeHours, pricePerHour }: { nodeHours: number; pricePerHour: number },
): Omit<Outcome, 'scenario' | 'model' | 'itemsPerWorker' | 'coolDownSeconds'> {
  const { arrived, refused, expired, unanswered } = queue;
  const waitsMs = Float64Array.from(queue.waitsMs).sort();
  const { placedMs } = workers;
  return {
    items: arrived,
    answered: waitsMs.length,
    refused,
    expired,
    unfinished: unanswered,
    p50Ms: quantile(waitsMs, 0.5),
    p99Ms: quantile(waitsMs, 0.99),
    workersMax: recorder.workersMax,
    workersMean: recorder.workersMean,
    firstReadySeconds: recorder.firstReadySeconds,
    mostReadySeconds: recorder.mostReadySeconds,
    noneAfterSeconds: recorder.noneAfterSeconds,
    workerHours: placedMs / hourMs,
    busyShare: placedMs === 0 ? 0 : service.busyMs / placedMs,
    nodeHours,
    cost: nodeHours * pricePerHour,
  };
}
