// The worker's start: it loads its models, warms them up, and only then takes jobs. A model that
// cannot be used is left out. A Python program may take minutes to load, so the other models do not wait for it.

import { randomUUID } from 'node:crypto';
import { type Configurations, redisSettings } from '../shared/configuration/configuration.js';
import type { ScorelineError } from '../shared/errors.js';
import { makeDepartures } from '../shared/metrics/departures.js';
import { Instruments } from '../shared/metrics/instruments.js';
import { observeProcess } from '../shared/metrics/process.js';
import { observeRedis, timeRedis } from '../shared/metrics/redis.js';
import type { Ending, Running } from '../shared/process/lifecycle.js';
import type { Logger } from '../shared/process/log.js';
import { within } from '../shared/process/within.js';
import { checkRedis } from '../shared/redis/check.js';
import { RedisClock } from '../shared/redis/clock.js';
import { type Keys, makeKeys } from '../shared/redis/keys.js';
import {
  connectConsumer,
  connectConsumerForLarge,
  type Redis,
  startConnecting,
  waitUntilReady,
} from '../shared/redis/redis.js';
import { ModelFolder } from '../shared/registry/folder.js';
import { allLeftOut, type LeftOut, logLeftOut, whyLeftOut } from '../shared/registry/left-out.js';
import { collectModels, type Model, type ModelChoice } from '../shared/registry/models.js';
import { readOrders, reportFault } from '../shared/registry/repository.js';
import type { Telemetry } from '../shared/telemetry/telemetry.js';
import { WorkerHealth } from './health.js';
import { MemoryRoom } from './memory.js';
import { observeWorker } from './metrics/state.js';
import { type Connections, openPlace, type Place } from './place.js';
import { Places } from './places.js';
import { openProbes } from './probes.js';
import { makeCells } from './quarantine/cells.js';
import { Guard } from './quarantine/guard.js';
import { makeRehearse } from './quarantine/rehearsal.js';
import { Rollout } from './rollout.js';

/** The last part of SHUTDOWN_MS, reserved for handing back unfinished jobs. */
const handBackMs = 2000;
/** How long a worker that can load no model tries to report that before it ends. */
const reportMsMax = 2000;

/**
 * Starts a worker. It calls `abandon`, which kills the process at once, when an engine is lost that cannot
 * be ended alone.
 * @throws ScorelineError if no model can be used or Redis cannot be used
 */
export async function startWorker(
  configuration: Configurations['worker'],
  log: Logger,
  { signal, abandon, telemetry, isReported }: Ending,
): Promise<Running> {
  const health = new WorkerHealth();
  const { PROBE_PORT } = configuration;
  const watched = await openWatch(PROBE_PORT, health, telemetry);
  signal.throwIfAborted();
  const instruments = watched?.instruments;
  const choice: ModelChoice = {
    directory: configuration.MODELS_DIR,
    names: configuration.MODELS,
    filesNeeded: true,
    cache: configuration.MODEL_CACHE_DIR,
  };
  const collected = collectModels(choice);
  const graceMs = Math.max(0, configuration.SHUTDOWN_MS - handBackMs);
  let connect: (connections: Connections) => void = () => {};
  const connections = new Promise<Connections>((resolve) => {
    connect = resolve;
  });
  const guard = new Guard({ cache: choice.cache, abandon });
  const room = new MemoryRoom();
  const shared = { connections, log, abandon, rehearse: makeRehearse(), room, guard };
  const places: Places = new Places({
    graceMs,
    open: (model) =>
      openPlace({ model, ...shared, onLost: (reason) => void rollout.lose(model, reason) }),
    onClosed:
      instruments && makeDepartures(instruments, () => places.all.map(({ model }) => model)),
  });
  signal.addEventListener('abort', () => {
    guard.leave();
    // Ends the programs of a start under way.
    void places.closeAll();
  });
  for (const model of collected.models) places.open(model);
  const first = places.all;
  health.watchPlaces(() => places.all);
  if (instruments) observeWorker(instruments, health, () => places.all);
  const settings = redisSettings(configuration);
  const redis = connectConsumer({ ...settings, name: 'worker', log, isLazy: true });
  // It connects with the first large reply. Most workers have none.
  const carrier = connectConsumerForLarge({ ...settings, name: 'worker-large', log, isLazy: true });
  if (instruments) observeRedis(instruments, [redis]);
  const keys = makeKeys(settings.prefix);
  const workerId = randomUUID();
  const rollout = new Rollout({
    ...{ places, redis, keys, workerId, log },
    folder: new ModelFolder(choice, collected),
    everyMs: configuration.MODELS_LOOK_MS,
  });
  const reportAll = (failed: readonly Failed[]) => reportFaults({ redis, keys }, failed);
  const loaded = leaveOutFailed(places, reportAll, signal).then((begun) => {
    guard.serve();
    logLeftOut(log, isReported ? begun.failed : [...collected.leftOut, ...begun.failed]);
    // From now on a probe finds what is missing: Redis.
    health.watchRedis(redis);
    return begun;
  });
  try {
    const redisChecked = checkRedis({ ...settings, log, signal });
    const [, begun] = await Promise.all([redisChecked, loaded]);
    startConnecting(redis);
    await waitUntilReady(redis, signal);
    const onRoundTrip = instruments && timeRedis(instruments);
    const clock = await RedisClock.open({ redis, keys, role: 'worker', log, onRoundTrip });
    health.watchClock(clock);
    const cells = makeCells({ log });
    const tracer = telemetry?.tracer;
    await rollout.begin(begun.failed);
    connect({ redis, carrier, keys, cells, workerId, instruments, tracer });
    // A model that was lost meanwhile is loaded again by the rollout, which reports it if that fails.
    const there = first.filter((place) => places.get(place.model.queue) === place);
    const late = there.filter((place) => begun.loading.has(place));
    const followed = late.map((place) => rollout.follow(place));
    await Promise.all(there.filter((place) => !late.includes(place)).map(({ open }) => open));
    void Promise.all(followed).then(() => health.open());
    const models = namesOf(places.all.filter((place) => !late.includes(place)));
    const loading = namesOf(late);
    log.info({ models, loading, probePort: watched?.port }, 'worker is ready');
    return {
      report: { models, loading, probePort: watched?.port },
      close: async () => {
        health.drain();
        await Promise.all([rollout.close(), places.closeAll()]);
        cells.close();
        clock.close();
        carrier.disconnect();
        redis.disconnect();
        watched?.close();
      },
    };
  } catch (error) {
    // A process that exits while a model loads is aborted by ONNX Runtime.
    await loaded.catch(() => {});
    // Installers and programs would outlive it.
    await places.closeAll();
    throw error;
  }
}

/** Opens the port of the probes and metrics, and starts to measure if somebody wants to know. */
async function openWatch(
  port: number | undefined,
  health: WorkerHealth,
  telemetry: Telemetry | undefined,
) {
  if (port === undefined && !telemetry?.sendsMetrics) return undefined;
  const instruments = new Instruments('worker');
  const probes =
    port === undefined ? undefined : await openProbes(port, () => health.read(), instruments);
  const endProcess = observeProcess(instruments, 'worker');
  telemetry?.sendMetrics(instruments);
  return {
    instruments,
    port: probes?.port,
    close: () => {
      probes?.close();
      endProcess();
    },
  };
}

function namesOf(places: readonly Place[]): string[] {
  return [...new Set(places.map(({ model }) => model.name))];
}

/** A model that cannot be loaded. */
type Failed = LeftOut & { readonly model: Model };

/** The models that are not warm when a worker begins. */
interface Begun {
  readonly failed: readonly Failed[];
  /** The places of programs that are still loading. */
  readonly loading: ReadonlySet<Place>;
}

/**
 * Waits until each network is warm or has failed, and one model is warm. Closes the places of those that have failed.
 * @param reportAll is called if all have failed
 * @throws ScorelineError if all have failed; the reason of the signal if that is aborted
 */
async function leaveOutFailed(
  places: Places,
  reportAll: (failed: readonly Failed[]) => Promise<void>,
  signal: AbortSignal,
): Promise<Begun> {
  const all: readonly Place[] = places.all;
  const loading = new Set(all);
  const errors = new Map<Place, ScorelineError>();
  const settled = all.map(async (place) => {
    await place.warm.catch((thrown) => errors.set(place, whyLeftOut(place.model.name, thrown)));
    loading.delete(place);
  });
  // All must have settled: a process that exits while a network loads is aborted by ONNX Runtime.
  await Promise.all(settled.filter((_, at) => all[at]?.model.manifest.engine === 'onnx'));
  await Promise.any(all.map(({ warm }) => warm)).catch(() => Promise.all(settled));
  // If the load was aborted, the model is not to blame.
  signal.throwIfAborted();
  const failed = all.flatMap((place) => {
    const error = errors.get(place);
    if (!error) return [];
    const { model } = place;
    return [{ name: model.name, version: model.version, error, model }];
  });
  if (failed.length === all.length) {
    await reportAll(failed);
    throw allLeftOut(failed);
  }
  for (const { model } of failed) {
    const place = places.get(model.queue);
    if (place) void places.close(place);
  }
  return { failed, loading: new Set(loading) };
}

/** Reports why models cannot be loaded, so no request waits for this worker, which ends. Redis may be away. */
async function reportFaults(
  { redis, keys }: { redis: Redis; keys: Keys },
  failed: readonly Failed[],
): Promise<void> {
  const workerId = randomUUID();
  const report = async () => {
    const { revision } = await readOrders(redis, keys);
    for (const { model, error } of failed) {
      const { code, message } = error;
      await reportFault({ redis, keys }, model.queue, { workerId, code, message, revision });
    }
  };
  startConnecting(redis);
  await within(report(), reportMsMax);
  redis.disconnect();
}
