// Assembles the API: a light HTTP service that never loads a model.

import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type Configurations,
  callerLimitsOf,
  redisSettings,
} from '../shared/configuration/configuration.js';
import { observeRedis, timeRedis } from '../shared/metrics/redis.js';
import type { Ending, Running } from '../shared/process/lifecycle.js';
import type { Logger } from '../shared/process/log.js';
import { checkRedis } from '../shared/redis/check.js';
import { RedisClock } from '../shared/redis/clock.js';
import { type Keys, makeKeys } from '../shared/redis/keys.js';
import {
  connectConsumer,
  connectForLarge,
  connectProducer,
  Outage,
  type Redis,
  untilTaken,
  waitUntilReady,
} from '../shared/redis/redis.js';
import { ModelFolder } from '../shared/registry/folder.js';
import { logLeftOut } from '../shared/registry/left-out.js';
import { collectModels, type ModelChoice } from '../shared/registry/models.js';
import { makeRegistry, type Registry } from '../shared/registry/registry.js';
import type { Telemetry } from '../shared/telemetry/telemetry.js';
import { packageVersion } from '../shared/version.js';
import { openAccess } from './access/access.js';
import { Admission } from './admission/admission.js';
import { type ByteBudget, makeByteBudget } from './admission/byte-budget.js';
import { openPeers, type Peers } from './admission/peers.js';
import { RedisMemory } from './admission/redis-memory.js';
import { cacheOutcomes } from './cache/cache-note.js';
import { makeCacheEntries } from './cache/entries.js';
import { ResponseCache } from './cache/response-cache.js';
import { Calls } from './call/calls.js';
import { deadlineExceeded } from './call/deadline.js';
import { openEdge } from './edge.js';
import { joinListeners, type RequestEvents } from './events.js';
import { makeDeferring } from './jobs/deferring.js';
import { JobEnds } from './jobs/job-ends.js';
import { makeJobStates } from './jobs/job-states.js';
import { makeJobStore } from './jobs/job-store.js';
import { JobWatch } from './jobs/job-watch.js';
import { Jobs } from './jobs/jobs.js';
import { WaitingLines } from './jobs/waiting-lines.js';
import { imageLimitsOf } from './kinds/image.js';
import { type InputKinds, makeInputKinds } from './kinds/kinds.js';
import { openLocalWorkers } from './live/local-workers.js';
import { openLiveSeries } from './live/series.js';
import { makeRequestLog } from './log/requests.js';
import { endSeries } from './metrics/departures.js';
import { observeIssuerCertificate } from './metrics/issuer-certificate.js';
import { makeOutcomeMetrics } from './metrics/outcomes.js';
import { type OpenMetrics, openMetrics } from './metrics/port.js';
import { makeRequestMetrics } from './metrics/requests.js';
import { observeState } from './metrics/state.js';
import { isPageBuilt, openPlayground, type Playground } from './playground/playground.js';
import { Dispatcher } from './queue/dispatcher.js';
import { Queue, queueAway } from './queue/queue.js';
import { ReplyStream, type ReplyStreamOptions } from './queue/reply-stream.js';
import { makeWaiters, type Waiters } from './queue/waiters.js';
import { makeReadLarge } from './repeat/large-results.js';
import { makeRepeatable } from './repeat/repeatable.js';
import { makeResults } from './repeat/results.js';
import { makeScoring } from './scoring.js';
import { Statistics } from './statistics.js';
import { makeRequestTraces } from './traces/requests.js';
import { makeMayRest, namesOfNoModel } from './versions/at-rest.js';
import { Rollout } from './versions/rollout.js';
import { Shadows, shadowOutcomes } from './versions/shadows.js';
import { PendingWebhooks } from './webhooks/pending-webhooks.js';
import { openCourier } from './webhooks/webhooks.js';

type Configuration = Configurations['api'];

/** What waits for Redis says so in the log, until the signal ends the wait. */
interface Waiting {
  readonly log: Logger;
  readonly signal: AbortSignal | undefined;
}

/**
 * Starts the API. Waits for an unreachable Redis, but refuses to start on a misconfigured one.
 * @throws ScorelineError `configuration_invalid`, `manifest_invalid`, `redis_unusable`
 */
export async function startApi(
  configuration: Configuration,
  log: Logger,
  { signal, telemetry, isReported, parent }: Partial<Omit<Ending, 'abandon'>> = {},
): Promise<Running> {
  const choice: ModelChoice = {
    directory: configuration.MODELS_DIR,
    names: configuration.MODELS,
    filesNeeded: false,
  };
  const collected = collectModels(choice);
  if (!isReported) logLeftOut(log, collected.leftOut);
  const registry = makeRegistry(collected.models, collected.leftOut);
  const { LEAVE_MS, SHUTDOWN_MS, METRICS_PORT, HOST } = configuration;
  const metrics = await openMetrics({ port: METRICS_PORT, host: HOST, telemetry });
  const { producer, reader, carrier, keys } = await openRedis(configuration, {
    ...{ log, signal, metrics },
  });
  const clock = await RedisClock.open({
    redis: producer,
    keys,
    role: 'api',
    log,
    onRoundTrip: metrics && timeRedis(metrics.instruments),
  });
  const instance = randomUUID();
  const { waiters, ends, replyStream } = await openReplies({
    ...{ instance, keys, producer, reader, log, signal },
  });
  const queue = new Queue({ redis: producer, carrier, keys, registry, log });
  const redisMemory = new RedisMemory(producer);
  const { calls, peers, admission, bodies } = openCalls({
    configuration,
    instance,
    producer,
    keys,
    registry,
    queue,
    redisMemory,
  });
  const mayRest = makeMayRest(configuration.SCALE_FROM_ZERO);
  const unknown = namesOfNoModel(configuration.SCALE_FROM_ZERO ?? [], collected.models);
  if (unknown.length > 0) {
    log.warn({ names: unknown }, 'SCALE_FROM_ZERO names what is no model or queue here');
  }
  const rollout = new Rollout({
    ...{ registry, queue, calls, peers, redis: producer, keys, log, mayRest },
    folder: new ModelFolder(choice, collected),
    everyMs: configuration.MODELS_LOOK_MS,
  });
  await rollout.begin();
  const kinds = makeInputKinds(imageLimitsOf(configuration));
  if (collected.models.some(({ manifest }) => manifest.input.kind === 'image')) {
    await kinds.image.open();
  }
  const statistics = new Statistics();
  const { scoring, shadows, jobs, store, states, webhooks } = openScoring({
    ...{ configuration, instance, producer, carrier, keys, registry, queue, kinds },
    ...{ waiters, ends, calls, admission, statistics, metrics },
  });
  const access = await openAccess({ configuration, redis: producer, keys, instance, log, signal });
  const forgetCertificate =
    metrics && observeIssuerCertificate(metrics.instruments, configuration.OIDC_ISSUER);
  const measured = metrics && { instruments: metrics.instruments, registry, statistics, queue };
  const liveSeries = measured && openLiveSeries(measured);
  const live = { instance, liveSeries, localWorkers: openLocalWorkers(parent) };
  const events = listen({ configuration, registry, log, telemetry, metrics });
  const edge = await openEdge({
    ...{ configuration, registry, calls, kinds, scoring, jobs, webhooks, queue, rollout },
    ...{ shadows, clock, log, access, statistics, mayRest, events, live },
    instruments: metrics?.instruments,
    playground: openPage(configuration, access.signIn !== undefined, log),
  });
  if (metrics) {
    const decoding = () => kinds.image.load;
    const permitsMax = configuration.PERMITS_MAX;
    const { eventStreams, untaken } = edge;
    const load = { calls, admission, bodies, eventStreams, untaken, queue, decoding, redisMemory };
    observeState(metrics.instruments, { registry, permitsMax, ...load });
    endSeries(metrics.instruments, registry);
  }
  const courier = openCourier({
    ...{ configuration, registry, kinds, pending: webhooks, store, states, ends, log },
    instruments: metrics?.instruments,
  });
  const { grpc } = edge;
  const { address, port } = edge.http;
  const models = registry.latest.map((model) => model.name);
  const report = {
    ...{ address, port, models },
    ...(grpc && { grpcPort: grpc.port }),
    ...(metrics?.port !== undefined && { metricsPort: metrics.port }),
  };
  log.info(report, 'API is ready');

  return {
    report,
    leave: async () => {
      if (LEAVE_MS === 0) return;
      calls.leave();
      edge.leave();
      await delay(LEAVE_MS);
    },
    close: async () => {
      calls.shutDown();
      await rollout.close();
      await edge.close(SHUTDOWN_MS - LEAVE_MS);
      await courier?.close();
      peers.close();
      redisMemory.close();
      clock.close();
      forgetCertificate?.();
      liveSeries?.close();
      await access.close();
      // If Redis is unreachable, the keys of this instance stay there until their time to live ends.
      await replyStream.close();
      await queue.close();
      carrier.disconnect();
      producer.disconnect();
      metrics?.close();
    },
  };
}

/**
 * Connects to Redis, and waits until it is there.
 * @throws ScorelineError `configuration_invalid`, `redis_unusable`
 */
async function openRedis(
  configuration: Configuration,
  { log, signal, metrics }: Waiting & { metrics: OpenMetrics | undefined },
): Promise<{ producer: Redis; reader: Redis; carrier: Redis; keys: Keys }> {
  const settings = redisSettings(configuration);
  await checkRedis({ ...settings, log, signal });
  const connect = { ...settings, log, outage: new Outage(log) };
  const producer = connectProducer({ ...connect, name: 'api' });
  const reader = connectConsumer({ ...connect, name: 'replies' });
  const carrier = connectForLarge({ ...connect, name: 'large' });
  const connections = [producer, reader, carrier];
  if (metrics) observeRedis(metrics.instruments, connections);
  await Promise.all(connections.map((redis) => waitUntilReady(redis, signal)));
  return { producer, reader, carrier, keys: makeKeys(settings.prefix) };
}

/** Opens the stream of replies, and hands them to the requests and jobs that wait for them. */
async function openReplies(
  parts: Waiting & { instance: string; producer: Redis; reader: Redis; keys: Keys },
): Promise<{ waiters: Waiters; ends: JobEnds; replyStream: ReplyStream }> {
  const { log, signal } = parts;
  const waiters = makeWaiters();
  const ends = new JobEnds();
  const options: ReplyStreamOptions = {
    ...parts,
    onReply: (reply) => {
      waiters.settle(reply);
      if (ends.size > 0) ends.answer(reply.id, 'outputs' in reply);
    },
    onUnreadable: (ids, error) => {
      for (const id of ids) waiters.fail(id, error);
      ends.forget(ids);
    },
    onLost: waiters.failAll,
  };
  const replyStream = await untilTaken(() => ReplyStream.open(options), {
    ...{ log, signal },
    message: 'the stream of replies cannot be created; trying again',
  });
  return { waiters, ends, replyStream };
}

/** Makes the way of a call from its inputs to its answer, and what is kept of answers and jobs. */
function openScoring(parts: {
  configuration: Configuration;
  instance: string;
  producer: Redis;
  carrier: Redis;
  keys: Keys;
  registry: Registry;
  queue: Queue;
  kinds: InputKinds;
  waiters: Waiters;
  ends: JobEnds;
  calls: Calls;
  admission: Admission;
  statistics: Statistics;
  metrics: OpenMetrics | undefined;
}) {
  const { configuration, instance, producer: redis, carrier, keys, registry, queue } = parts;
  const { kinds, waiters, ends, calls, admission, statistics, metrics } = parts;
  const readLarge = makeReadLarge(carrier, keys);
  const results = makeResults({
    ...{ redis, keys, readLarge },
    keepMs: configuration.RESULT_MS,
    limits: {
      resultsMax: configuration.RESULTS_MAX,
      bytesMax: configuration.RESULTS_BYTES_MAX,
    },
    callerLimits: callerLimitsOf(configuration),
  });
  const states = makeJobStates({ redis, keys, queue, readLarge });
  const webhooks = new PendingWebhooks({
    ...{ redis, keys },
    pendingMax: configuration.WEBHOOK_PENDING_MAX,
    deadMax: configuration.WEBHOOK_DEAD_MAX,
  });
  const store = makeJobStore({ redis, keys, jobsMax: configuration.CALLER_JOBS_MAX, webhooks });
  const jobs = new Jobs({
    ...{ store, states, watch: new JobWatch(states) },
    lines: new WaitingLines(queue, () => performance.now()),
    onCancelled: (record) => ends.end(record),
  });
  const dispatcher = new Dispatcher({ instance, queue, waiters });
  registry.subscribe(({ removed }) => {
    for (const model of removed) dispatcher.forget(model);
  });
  const shadows = new Shadows({
    ...{ registry, dispatcher },
    onOutcome:
      metrics && makeOutcomeMetrics(metrics.instruments, registry, 'shadowAnswers', shadowOutcomes),
  });
  const scoring = makeScoring({
    ...{ kinds, dispatcher, shadows, statistics },
    repeatable: makeRepeatable({ calls, results }),
    deferring: makeDeferring({
      ...{ instance, admission, calls, queue, results, store, jobs, ends, webhooks },
      resultBytesMax: configuration.JOB_RESULT_BYTES_MAX,
    }),
    cache: new ResponseCache({
      entries: makeCacheEntries({ redis, keys }),
      onServed:
        metrics &&
        makeOutcomeMetrics(metrics.instruments, registry, 'cacheRequests', cacheOutcomes),
    }),
  });
  return { scoring, shadows, jobs, store, states, webhooks };
}

/** Opens the page at `/`, unless it is switched off or was not built. */
function openPage(
  configuration: Configuration,
  canSignIn: boolean,
  log: Logger,
): Playground | undefined {
  const { AUTH = [], PLAYGROUND, PLAYGROUND_TRACE_URL: traceUrl } = configuration;
  if (!PLAYGROUND) return undefined;
  if (!isPageBuilt()) {
    log.warn('the page at / was not built, so there is none: run npm run build');
    return undefined;
  }
  const isGuarded = AUTH.length > 0;
  const takesKeys = AUTH.includes('keys');
  return openPlayground({ version: packageVersion(), isGuarded, takesKeys, canSignIn, traceUrl });
}

/** Joins who listens to requests: metrics and traces if they are on, and the log. */
function listen(parts: {
  configuration: Configuration;
  registry: Registry;
  log: Logger;
  telemetry: Telemetry | undefined;
  metrics: OpenMetrics | undefined;
}): RequestEvents {
  const { configuration, registry, log, telemetry, metrics } = parts;
  const { TRACES_SLOW_MS: slowMs, ACCESS_LOG_RATIO: accessRatio } = configuration;
  const tracer = telemetry?.tracer;
  return joinListeners(tracer && makeRequestTraces(tracer, { slowMs }), [
    metrics && makeRequestMetrics(metrics.instruments, registry),
    makeRequestLog(log, { accessRatio }),
  ]);
}

/** Makes the calls, their admission, and the exchange with other instances that admission needs. */
function openCalls(options: {
  configuration: Configuration;
  instance: string;
  producer: Redis;
  keys: Keys;
  registry: Registry;
  queue: Queue;
  redisMemory: RedisMemory;
}): { calls: Calls; peers: Peers; admission: Admission; bodies: ByteBudget } {
  const { configuration, instance, producer, keys, registry, queue, redisMemory } = options;
  const admission = new Admission({
    permitsMax: configuration.PERMITS_MAX,
    callerShare: configuration.CALLER_PERMITS_PERCENT / 100,
    itemsMax: configuration.QUEUE_ITEMS_MAX,
    unansweredIn: (name, priority) =>
      priority === 'bulk' ? queue.unansweredIn(name) : queue.interactiveIn(name),
    countModels: () => registry.models.length,
    redisFullness: () => redisMemory.fullness,
    peers: { inFlight: (...of) => peers.inFlight(...of), msFor: (...of) => peers.msFor(...of) },
    now: () => performance.now(),
  });
  const peers = openPeers({
    redis: producer,
    keys,
    instance,
    registry,
    traffic: (...of) => admission.toldTraffic(...of),
  });
  const bodies = makeByteBudget(configuration.BODIES_BYTES_MAX);
  const calls = new Calls({
    admission,
    bodies,
    whyLate: (phase) => (queue.isAway ? queueAway() : deadlineExceeded(phase)),
  });
  return { calls, peers, admission, bodies };
}
