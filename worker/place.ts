// A model's place in the worker: everything that serves one model. That is its scorer, its
// quarantine, its presence, and a consumer for each of its queues.

import { statSync } from 'node:fs';
import { ScorelineError } from '../shared/errors.js';
import type { Instruments } from '../shared/metrics/instruments.js';
import type { Logger } from '../shared/process/log.js';
import { unless } from '../shared/process/unless.js';
import { codeSha256 } from '../shared/python/code.js';
import type { Keys } from '../shared/redis/keys.js';
import type { Redis } from '../shared/redis/redis.js';
import { filesOf } from '../shared/registry/files.js';
import type { Model } from '../shared/registry/models.js';
import type { Tracer } from '../shared/telemetry/telemetry.js';
import type { Priority } from '../shared/wire/priority.js';
import { type LoadedScorer, openScorer, type Rehearse } from './batch/scorer.js';
import type { EngineDevice, Owner } from './engine/engine.js';
import { joinListeners } from './events.js';
import { ensureModelFiles } from './files/model-files.js';
import type { MemoryRoom } from './memory.js';
import { ItemMetrics } from './metrics/items.js';
import type { Cells } from './quarantine/cells.js';
import type { Guard } from './quarantine/guard.js';
import { loadLimit, makeQuarantine } from './quarantine/quarantine.js';
import { makeConsumer } from './queue/consumer.js';
import { announce } from './queue/presence.js';
import { makeQueue } from './queue/redis-queue.js';
import { makeSendReplies } from './queue/replies.js';
import { makeResults } from './queue/results.js';
import { ItemTraces } from './traces/items.js';

/** A busy machine may hold a job for longer than expected by this much. */
const heldSpareMs = 30_000;

/** What all places share. */
export interface Connections {
  readonly redis: Redis;
  /** A connection for large replies. */
  readonly carrier: Redis;
  readonly keys: Keys;
  readonly cells: Cells;
  readonly workerId: string;
  /** Undefined if nothing is measured. */
  readonly instruments?: Instruments | undefined;
  /** Undefined if nothing is traced. */
  readonly tracer?: Tracer | undefined;
}

export interface Place {
  readonly model: Model;
  /** Resolves when the model is warm. Rejects if its files are wrong or it cannot be loaded. */
  readonly warm: Promise<unknown>;
  /** Resolves when the place takes jobs and Redis lists its worker. */
  readonly open: Promise<unknown>;
  /** Whether its worker has been put on the list of those that have the model. */
  isListed(): boolean;
  /** Takes its worker off that list. It goes on taking jobs. Rejects with an error of Redis. */
  withdraw(): Promise<void>;
  /** Puts its worker on the list again. */
  resume(): void;
  /**
   * Takes no more jobs, finishes the held ones or hands them back after `graceMs`, and unloads the
   * model. A program that is not warm yet is ended at once.
   */
  close(graceMs: number): Promise<void>;
  /** The device that the model runs on, once it is loaded. */
  readonly device: () => EngineDevice | undefined;
  /** How long the model took to load, without warm-up; undefined until it is loaded. */
  readonly loadMs: () => number | undefined;
  /** How long the oldest held job has been held; 0 if none is held. */
  readonly heldMs: () => number;
  /** How long a job may be held. */
  readonly heldMsMax: () => number;
}

/** Loads a model, and takes its jobs once it is warm and `connections` has resolved. */
export function openPlace(options: {
  model: Model;
  connections: Promise<Connections>;
  log: Logger;
  /** Kills the process at once. */
  abandon: (reason: string) => void;
  /** Called once, when the model can score nothing more. The place should then be closed. */
  onLost: (reason: string) => void;
  rehearse: Rehearse;
  room: MemoryRoom;
  guard: Guard;
}): Place {
  const { model, log } = options;
  /** Aborted if the place is closed before its model is warm. */
  const loading = new AbortController();
  let taken: Taken | undefined;
  let loaded: LoadedScorer | undefined;
  let isLost = false;
  let isClosed = false;
  const onLost = (reason: string) => {
    if (!isLost && !isClosed) options.onLost(reason);
    isLost = true;
  };
  const warm = warmUp({ ...options, onLost, signal: loading.signal }).then((scorer) => {
    loaded = scorer;
    return scorer;
  });
  const taking = Promise.all([warm, options.connections]).then(([scorer, connections]) => {
    if (!isClosed) taken = takeJobs(model, scorer, connections, log);
  });
  const open = taking.then(() => taken?.announced);
  // Startup awaits the first models. Nobody awaits a model that is added later.
  open.catch(() => {});
  return {
    model,
    warm,
    open,
    isListed: () => taken !== undefined,
    withdraw: async () => taken?.presence.withdraw(),
    resume: () => taken?.presence.resume(),
    close: async (graceMs) => {
      isClosed = true;
      if (!loaded) loading.abort(new Error('The place is closed.'));
      await taken?.close(graceMs);
      await warm.then((scorer) => scorer.close()).catch(() => {});
    },
    device: () => loaded?.device,
    loadMs: () => loaded?.loadMs,
    heldMs: () => taken?.heldMs() ?? 0,
    heldMsMax: () => heldMsMax(model, taken?.loadMsMax ?? 0),
  };
}

async function warmUp({
  model,
  log,
  abandon,
  onLost,
  signal,
  rehearse,
  room,
  guard,
}: Omit<Parameters<typeof openPlace>[0], 'connections'> & {
  signal: AbortSignal;
}): Promise<LoadedScorer> {
  const { name, version } = model;
  const before = stampFiles(model);
  // A download under way is not stopped: the next load finds the files.
  await unless(signal, ensureModelFiles(model, log));
  const release = room.reserve(model.manifest);
  const startedAt = performance.now();
  let isWarm = false;
  let lost: ScorelineError | undefined;
  const lose: Owner['onLost'] = (reason, cause) => {
    // ONNX Runtime cannot be ended without its process. A program has a process of its own, so it costs no other
    // model its worker. Before it is warm, nobody waits for it: the warm-up fails.
    if (model.manifest.engine === 'onnx') abandon(`${name}: ${reason}`);
    else if (isWarm) onLost(reason);
    else lost ??= cause ?? lostCopy(model, reason);
  };
  const open = () =>
    openScorer(model, log, {
      ...{ onLost: lose, signal },
      rehearse: (...tried) => unless(signal, rehearse(...tried)),
    });
  const scorer = await guard.load(model, open, signal).finally(release);
  isWarm = true;
  if (lost !== undefined) {
    await scorer.close();
    throw lost;
  }
  if (before !== undefined && stampFiles(model) !== before) {
    await scorer.close();
    throw changedMeanwhile(model);
  }
  const warmUpMs = Math.round(performance.now() - startedAt);
  const { type: device, reason } = scorer.device;
  log.info({ model: name, version, device, warmUpMs }, 'model is warm');
  if (reason !== undefined) {
    log.warn({ model: name, version, device, reason }, 'model runs on its fallback device');
  }
  if (scorer.warning !== undefined) log.warn({ model: name, version }, scorer.warning);
  return scorer;
}

/** Returns a text that changes with the files of a model and its code; undefined if one is missing. */
function stampFiles(model: Model): string | undefined {
  const stamps = filesOf(model).map((file) => {
    const found = statSync(file.path, { throwIfNoEntry: false });
    return found && `${found.ino} ${found.size} ${found.mtimeMs}`;
  });
  return stamps.includes(undefined) ? undefined : [...stamps, stampCode(model)].join('\n');
}

/** A program may be read minutes after it was verified, once its packages are installed. */
function stampCode({ folder, name, manifest: { source } }: Model): string | undefined {
  if (source.engine !== 'python') return undefined;
  try {
    return codeSha256(folder, name, source);
  } catch {
    return undefined;
  }
}

/** The files may have changed between their verification and the moment when ONNX Runtime or Python read them. */
function changedMeanwhile({ name, version, folder }: Model): ScorelineError {
  return new ScorelineError(
    'model_file_wrong',
    `${name}: expected the files of version ${version} to stay as they are while they are loaded; they changed. Write a new version into a folder beside ${folder}, and rename it when it is complete.`,
  );
}

/** A copy may end once it has done its part of the warm-up, while another has not. */
function lostCopy({ name }: Model, reason: string): ScorelineError {
  return new ScorelineError(
    'model_file_wrong',
    `${name}: expected each copy of the model to outlast the warm-up; ${reason}.`,
  );
}

/**
 * Returns how long a job may be held. Items past their deadlines are dropped before a run. One run may
 * be under way by then, and the quarantine may be loading the model.
 */
function heldMsMax({ manifest }: Model, loadMsMax: number): number {
  return manifest.deadlineMs + manifest.runMsMax + loadMsMax + heldSpareMs;
}

type Taken = ReturnType<typeof takeJobs>;

function takeJobs(
  model: Model,
  scorer: LoadedScorer,
  { redis, carrier, keys, cells, workerId, instruments, tracer }: Connections,
  log: Logger,
) {
  const loadMsMax = loadLimit(scorer.loadMs);
  const quarantine = makeQuarantine({ model, cells, log, loadMsMax });
  const metrics = instruments && new ItemMetrics(instruments, model);
  const consumers = model.queues.map((wireQueue) => {
    const answer = (priority: Priority) => ({
      queue: makeQueue({ name: wireQueue.name, priority, redis, keys, log }),
      sendReplies: makeSendReplies({ queue: wireQueue, priority, redis, carrier, keys, log }),
    });
    const interactive = answer('interactive');
    if (scorer.device.reason !== undefined) interactive.queue.count('fallbacks', 1);
    return makeConsumer({
      model,
      scorer,
      quarantine,
      ...interactive,
      bulk: answer('bulk'),
      kept: makeResults({ wire: wireQueue.wire, redis, carrier, keys, log }),
      log,
      events: joinListeners([metrics, tracer && new ItemTraces(tracer, model, wireQueue.name)]),
    });
  });
  const queues = model.queues.map(({ name }) => name);
  const presence = announce({ redis, keys, queues, workerId });
  return {
    announced: presence.announced,
    presence,
    loadMsMax,
    heldMs: () => Math.max(...consumers.map((consumer) => consumer.heldMs())),
    close: async (graceMs: number) => {
      // Closed together: without Redis, presence takes up to 0.5 s, which the consumers need.
      await Promise.all([
        ...consumers.map((consumer) => consumer.close(graceMs)),
        presence.close(),
      ]);
      quarantine.close();
    },
  };
}
