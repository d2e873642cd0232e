// The HTTP half of the API: the real server, gate, application, calls and kinds. The dispatcher is a
// fake that answers at once, unless the test says otherwise.

import { channel } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { pino } from 'pino';
import { expect, onTestFinished } from 'vitest';
import type { Access, SignIn } from '../../api/access/access.js';
import { anyone } from '../../api/access/caller.js';
import { Admission } from '../../api/admission/admission.js';
import { makeByteBudget } from '../../api/admission/byte-budget.js';
import type { CacheEntries } from '../../api/cache/entries.js';
import { ResponseCache } from '../../api/cache/response-cache.js';
import { Calls } from '../../api/call/calls.js';
import { deadlineExceeded } from '../../api/call/deadline.js';
import { openEdge } from '../../api/edge.js';
import { joinListeners, type RequestTraces } from '../../api/events.js';
import type { LiveParts } from '../../api/http/routes/live.js';
import { imageLimitsOf } from '../../api/kinds/image.js';
import { makeInputKinds } from '../../api/kinds/kinds.js';
import { makeRequestLog } from '../../api/log/requests.js';
import type { Playground } from '../../api/playground/playground.js';
import type { Dispatcher, Submission } from '../../api/queue/dispatcher.js';
import { makeScoring } from '../../api/scoring.js';
import { Statistics } from '../../api/statistics.js';
import { makeMayRest } from '../../api/versions/at-rest.js';
import type { Rollout } from '../../api/versions/rollout.js';
import {
  type Configurations,
  readConfiguration,
} from '../../shared/configuration/configuration.js';
import { ScorelineError } from '../../shared/errors.js';
import type { LeftOut } from '../../shared/registry/left-out.js';
import type { Model } from '../../shared/registry/models.js';
import { makeRegistry } from '../../shared/registry/registry.js';
import { makeRankedOutputs } from '../../shared/tensors/scores.js';
import type { ScoredReply } from '../../shared/wire/reply.js';
import { waitUntil } from '../harness.js';
import { makeSampleModel } from '../unit/sample-model.js';
import { RawClient } from './raw-client.js';

export const textModel = makeSampleModel({ name: 'text' });
export const imageModel = makeSampleModel({
  name: 'image',
  input: { kind: 'image', width: 32, height: 32, tensor: 'uint8-nhwc' },
});

/** Makes the reply that every item gets: the first classes, in order. */
export function makeReply(id: string, top = 3): ScoredReply {
  const classes = Array.from({ length: top }, (_, index) => index);
  const timing = { queueMs: 1, batchMs: 0, computeMs: 2, batchSize: 1 };
  return {
    id,
    outputs: makeRankedOutputs(
      classes,
      classes.map((at) => 0.5 / (at + 1)),
    ),
    timing,
  };
}

export type Scene = Awaited<ReturnType<typeof openScene>>;

/** Starts an API without a queue. After the test, closes it and expects that nothing is left. */
export async function openScene(
  options: {
    models?: readonly Model[];
    /** Models that could not be served. */
    leftOut?: readonly LeftOut[];
    configuration?: Partial<Configurations['api']>;
    submit?: Dispatcher['submit'];
    /** How many workers each model has; 1 unless the test says otherwise. */
    workers?: number;
    /** Happens while they are counted. */
    whileCounting?: () => void;
    /** Who gets in; everyone unless the test says otherwise. */
    access?: Omit<Access, 'close'>;
    /** Whoever traces the requests. */
    traces?: RequestTraces;
    /** Whether gRPC is answered too. */
    grpc?: boolean;
    /** What models with a response cache keep; nothing unless the test says otherwise. */
    cacheEntries?: CacheEntries;
    live?: Partial<Omit<LiveParts, 'registry'>>;
    signIn?: SignIn;
    playground?: Playground;
    /** What loads and unloads models. */
    rollout?: Pick<Rollout, 'waiting' | 'load' | 'unload'>;
  } = {},
) {
  const { models = [textModel] } = options;
  const settings = { PORT: '0', EVENT_STREAMS_MAX: '1', CALLER_EVENT_STREAMS_MAX: '1' };
  const configuration = {
    ...readConfiguration('api', { ...settings, ...(options.grpc && { GRPC_PORT: '0' }) }),
    ...options.configuration,
  };
  const registry = makeRegistry(models, options.leftOut);
  const unanswered = new Map<string, number>();
  const submissions: Submission[] = [];
  const logged: string[] = [];
  const log = pino({ level: 'warn' }, { write: (line: string) => void logged.push(line) });

  const admission = new Admission({
    permitsMax: configuration.PERMITS_MAX,
    callerShare: configuration.CALLER_PERMITS_PERCENT / 100,
    itemsMax: configuration.QUEUE_ITEMS_MAX,
    unansweredIn: (queue) => unanswered.get(queue),
    countModels: () => registry.models.length,
    peers: { inFlight: () => 0, msFor: () => undefined },
    now: () => performance.now(),
  });
  const bodies = makeByteBudget(configuration.BODIES_BYTES_MAX);
  const calls = new Calls({ admission, bodies, whyLate: deadlineExceeded });
  const kinds = makeInputKinds(imageLimitsOf(configuration));
  const submit: Dispatcher['submit'] = (submission) => {
    submissions.push(submission);
    return options.submit
      ? options.submit(submission)
      : submission.items.map(async ({ id }) => makeReply(id, submission.top));
  };
  const statistics = new Statistics();
  const scoring = makeScoring({
    kinds,
    dispatcher: { submit },
    repeatable: {
      score: () => Promise.reject(new Error('These tests send no Idempotency-Key.')),
    },
    statistics,
    cache: new ResponseCache({ entries: options.cacheEntries ?? noEntries }),
    deferring: {
      score: () => Promise.reject(new Error('These tests ask for no later answer.')),
    },
  });
  const queue = {
    countWorkers: async (queues: readonly string[]) => {
      options.whileCounting?.();
      return queues.map(() => options.workers ?? 1);
    },
    readCounts: async () =>
      registry.models.map(() => ({
        dropped: 0,
        crashed: 0,
        unreadable: 0,
        fallbacks: 0,
      })),
    unansweredIn: (name: string) => unanswered.get(name),
    opened: new Map(),
  };
  const clock = { readWarnings: async () => [] };
  const noJob = () =>
    Promise.reject(new ScorelineError('job_not_found', 'These tests have no jobs.'));
  const jobs = {
    find: noJob,
    read: noJob,
    follow: () => () => {},
    standingOf: noJob,
    cancel: noJob,
    list: async () => ({ jobs: [], next: undefined }),
  };
  const webhooks = {
    read: async () => undefined,
    listDead: async () => [],
    count: async () => ({ pending: configuration.WEBHOOK_HOSTS.map(() => 0), dead: 0 }),
    countStranded: async () => [],
    revive: noJob,
  };
  const noFolder = () => Promise.reject(new Error('These tests have no folder of models.'));
  const rollout = options.rollout ?? { waiting: [], load: noFolder, unload: noFolder };
  const noShadows = { same: 0, different: 0, failed: 0, left_out: 0 };
  const shadows = { countsOf: () => noShadows };
  const events = joinListeners(options.traces, [makeRequestLog(log, { accessRatio: 0 })]);
  const sockets = watchServerSockets();
  const edge = await openEdge({
    ...{ configuration, registry, calls, kinds, scoring, jobs, webhooks, queue, rollout },
    ...{ shadows, clock, log, statistics, events },
    access: { ...(options.access ?? openToAnyone), signIn: options.signIn },
    mayRest: makeMayRest(configuration.SCALE_FROM_ZERO),
    playground: options.playground,
    live: {
      instance: 'scene',
      liveSeries: undefined,
      localWorkers: noLocalWorkers,
      ...options.live,
    },
  });
  const { port } = edge.http;
  const clients: RawClient[] = [];

  const close = async (withinMs = 0) => {
    calls.shutDown();
    await edge.close(withinMs);
  };
  onTestFinished(async () => {
    for (const client of clients) client.hangUp();
    await close();
    await waitUntil('the calls have given everything back', () => admission.inFlight === 0);
    expect({ calls: calls.size, bytes: bodies.taken }).toEqual({ calls: 0, bytes: 0 });
    expect(logged.filter((line) => !isAboutRefusal(line))).toEqual([]);
  });

  return {
    url: `http://127.0.0.1:${port}`,
    port,
    express: edge.express,
    grpcPort: edge.grpc?.port ?? 0,
    admission,
    bodies,
    calls,
    registry,
    /** The numbers of unanswered items that the fake queue reports. */
    unanswered,
    submissions,
    logged,
    sockets,
    leave: () => edge.leave(),
    close,
    /** Connects a client that writes raw bytes. */
    connect: async () => {
      const client = await RawClient.connect(port);
      clients.push(client);
      return client;
    },
    bytesRead: () => sockets.reduce((sum, socket) => sum + socket.bytesRead, 0),
  };
}

const noLocalWorkers = { all: undefined, kill: () => {} };

const noEntries: CacheEntries = { read: async () => undefined, write: () => {} };

/** Lets everyone in, without limits. */
export const openToAnyone: Omit<Access, 'close'> = {
  identify: () => anyone,
  isStranger: () => false,
  limits: { admit: () => undefined, fieldsOf: () => ({ 'RateLimit-Policy': '', RateLimit: '' }) },
  delayMs: () => 0,
};

/** Collects the sockets that servers of this process accept from now on. */
function watchServerSockets(): readonly Socket[] {
  const sockets: Socket[] = [];
  const accepted = channel('net.server.socket');
  const listener = (message: unknown) => void sockets.push((message as { socket: Socket }).socket);
  accepted.subscribe(listener);
  onTestFinished(() => accepted.unsubscribe(listener));
  return sockets;
}

/** Refused requests have a line in the log, and so do those that end with the service. */
function isAboutRefusal(line: string): boolean {
  const { level, msg } = JSON.parse(line);
  return level < 50 && /^a request (was refused|failed)$/.test(msg);
}
