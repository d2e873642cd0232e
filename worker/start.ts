// The worker's start: it loads its models, warms them up, and only then takes jobs. A model that
// cannot be used is left out.

import { randomUUID } from 'node:crypto';
import { type Configurations, redisSettings } from '../shared/configuration.js';
import { coerceError, ScorelineError } from '../shared/errors.js';
import { makeKeys } from '../shared/keys.js';
import { allLeftOut, type LeftOut, logLeftOut } from '../shared/left-out.js';
import type { Ending, Running } from '../shared/lifecycle.js';
import type { Logger } from '../shared/log.js';
import { Instruments } from '../shared/metrics/instruments.js';
import { observeProcess } from '../shared/metrics/process.js';
import { observeRedis, timeRedis } from '../shared/metrics/redis.js';
import { collectModels, type Model } from '../shared/models.js';
import { connectConsumer, startConnecting, waitUntilReady } from '../shared/redis.js';
import { checkRedis } from '../shared/redis-check.js';
import { RedisClock } from '../shared/redis-clock.js';
import { makeRegistry, type Registry, type RegistryChange } from '../shared/registry.js';
import type { Telemetry } from '../shared/telemetry/telemetry.js';
import { WorkerHealth } from './health.js';
import { observeWorker } from './metrics/state.js';
import { type Connections, openPlace, type Place } from './place.js';
import { openProbes } from './probes.js';
import { makeCells } from './quarantine/cells.js';
import { makeRehearse } from './quarantine/rehearsal.js';

/** The last part of SHUTDOWN_MS, reserved for handing back unfinished jobs. */
const handBackMs = 2000;

/**
 * Starts a worker. It calls `abandon`, which kills the process at once, when an engine is lost.
 * @throws ScorelineError if no model can be used or Redis cannot be used
 */
export async function startWorker(
  configuration: Configurations['worker'],
  log: Logger,
  { signal, abandon, telemetry }: Ending,
): Promise<Running> {
  const health = new WorkerHealth();
  const { PROBE_PORT } = configuration;
  const watched = await openWatch(PROBE_PORT, health, telemetry);
  const instruments = watched?.instruments;
  const collected = collectModels({
    directory: configuration.MODELS_DIR,
    names: configuration.MODELS,
    filesNeeded: true,
    cache: configuration.MODEL_CACHE_DIR,
  });
  const registry = makeRegistry(collected.models);
  const graceMs = Math.max(0, configuration.SHUTDOWN_MS - handBackMs);
  let connect: (connections: Connections) => void = () => {};
  const connections = new Promise<Connections>((resolve) => {
    connect = resolve;
  });
  const rehearse = makeRehearse();
  const places = followRegistry(registry, graceMs, (model) =>
    openPlace({ model, connections, log, abandon, rehearse }),
  );
  health.watchPlaces(places.all);
  if (instruments) observeWorker(instruments, health, places.all);
  const settings = redisSettings(configuration);
  const redis = connectConsumer({ ...settings, name: 'worker', log, isLazy: true });
  if (instruments) observeRedis(instruments, [redis]);
  const loaded = leaveOutFailed(registry, places.all()).then((failed) => {
    logLeftOut(log, [...collected.leftOut, ...failed]);
    // From now on a probe finds what is missing: Redis.
    health.watchRedis(redis);
  });
  try {
    await Promise.all([checkRedis({ ...settings, log, signal }), loaded]);
  } catch (error) {
    // A process that exits while a model loads is aborted by ONNX Runtime.
    await loaded.catch(() => {});
    throw error;
  }
  startConnecting(redis);
  await waitUntilReady(redis, signal);
  const keys = makeKeys(settings.prefix);
  const onRoundTrip = instruments && timeRedis(instruments);
  const clock = await RedisClock.open({ redis, keys, role: 'worker', log, onRoundTrip });
  health.watchClock(clock);
  const cells = makeCells({ log });
  const tracer = telemetry?.tracer;
  connect({ redis, keys, cells, workerId: randomUUID(), instruments, tracer });
  await Promise.all(places.all().map(({ open }) => open));
  health.open();
  const models = registry.models.map(({ name }) => name);
  log.info({ models, probePort: watched?.port }, 'worker is ready');

  return {
    report: { models, probePort: watched?.port },
    close: async () => {
      health.drain();
      await places.close();
      cells.close();
      clock.close();
      redis.disconnect();
      watched?.close();
    },
  };
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

/**
 * Waits until each model is warm or has failed, and removes those that have failed from the registry.
 * @throws ScorelineError if all have failed
 */
async function leaveOutFailed(registry: Registry, places: readonly Place[]): Promise<LeftOut[]> {
  // All must have settled: a process that exits while a model loads is aborted by ONNX Runtime.
  const outcomes = await Promise.allSettled(places.map(({ warm }) => warm));
  const failed = new Map<Model, ScorelineError>();
  for (const [index, { model }] of places.entries()) {
    const outcome = outcomes[index];
    if (outcome?.status === 'rejected') failed.set(model, asLeftOut(model, outcome.reason));
  }
  const leftOut = [...failed].map(([{ name }, error]) => ({ name, error }));
  if (leftOut.length === places.length) throw allLeftOut(leftOut);
  registry.replace(registry.models.filter((model) => !failed.has(model)));
  return leftOut;
}

function asLeftOut({ name }: Model, thrown: unknown): ScorelineError {
  if (thrown instanceof ScorelineError) return thrown;
  const cause = coerceError(thrown);
  return new ScorelineError('internal_error', `${name}: unexpected: ${cause.message}`, { cause });
}

/** Opens a place for each model that the registry adds, and closes it when the model is removed. */
export function followRegistry(
  registry: Registry,
  graceMs: number,
  open: (model: Registry['models'][number]) => Place,
) {
  const places = new Map<string, Place>();
  const closing = new Set<Promise<void>>();

  const close = (place: Place) => {
    places.delete(place.model.queue);
    const closed = place.close(graceMs).finally(() => closing.delete(closed));
    closing.add(closed);
  };
  const unsubscribe = registry.subscribe(({ added, removed }: RegistryChange) => {
    for (const { queue } of removed) {
      const place = places.get(queue);
      if (place) close(place);
    }
    for (const model of added) places.set(model.queue, open(model));
  });

  return {
    all: () => [...places.values()],
    close: async () => {
      unsubscribe();
      for (const place of places.values()) close(place);
      await Promise.all(closing);
    },
  };
}
