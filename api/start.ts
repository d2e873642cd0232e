// The API: a light HTTP service that never loads a model.

import { randomUUID } from 'node:crypto';
import express, { type RequestHandler } from 'express';
import type { Configurations } from '../shared/configuration.js';
import { ScorelineError } from '../shared/errors.js';
import { makeKeys } from '../shared/keys.js';
import type { Running } from '../shared/lifecycle.js';
import type { Logger } from '../shared/log.js';
import { readModels } from '../shared/models.js';
import { connectConsumer, connectProducer, waitUntilReady } from '../shared/redis.js';
import { packageVersion } from '../shared/version.js';
import { makeAdmission } from './admission/admission.js';
import { openPeers } from './admission/peers.js';
import { makeBodyReaders } from './http/body.js';
import { makeGate } from './http/gate.js';
import { makeProblemHandler } from './http/problem.js';
import { addHealthRoutes } from './http/routes/health.js';
import { addModelRoutes } from './http/routes/models.js';
import { addReferenceRoutes } from './http/routes/reference.js';
import { startServer } from './http/server.js';
import { makeInputKinds } from './kinds/kinds.js';
import { makeDispatcher } from './queue/dispatcher.js';
import { makeQueue } from './queue/queue.js';
import { openReplyStream } from './queue/reply-stream.js';
import { makeReplies } from './queue/waiters.js';
import { makeResults } from './repeat/results.js';
import { makeScoring } from './scoring.js';

export async function startApi(
  configuration: Configurations['api'],
  log: Logger,
): Promise<Running> {
  const models = readModels({
    directory: configuration.MODELS_DIR,
    names: configuration.MODELS,
    filesNeeded: false,
  });
  const connect = { url: configuration.REDIS_URL, log };
  const producer = connectProducer({ ...connect, name: 'api' });
  const reader = connectConsumer({ ...connect, name: 'replies' });
  await Promise.all([waitUntilReady(producer, log), waitUntilReady(reader, log)]);

  const keys = makeKeys(configuration.QUEUE_PREFIX);
  const instance = randomUUID();
  const replies = makeReplies({ isQueueAway: () => queue.isAway });
  const replyStream = await openReplyStream({
    instance,
    keys,
    producer,
    reader,
    onReply: replies.settle,
    onLost: () => replies.failAll(queueLost()),
    log,
  });
  const queue = makeQueue({
    redis: producer,
    keys,
    queues: models.map((model) => model.queue),
    log,
  });

  let closing = false;
  const isClosing = () => closing;
  const kinds = makeInputKinds({
    imagePixelsMax: configuration.IMAGE_PIXELS_MAX,
    imagesMax: configuration.IMAGES_PER_REQUEST_MAX,
  });
  const admission = makeAdmission({
    permitsMax: configuration.PERMITS_MAX,
    jobsMax: configuration.QUEUE_JOBS_MAX,
    jobsIn: queue.jobsIn,
    peers: { inFlight: (name) => peers.inFlight(name), msFor: (...of) => peers.msFor(...of) },
    now: () => performance.now(),
  });
  const peers = openPeers({
    redis: producer,
    keys,
    instance,
    queues: new Map(models.map((model) => [model.queue, model.manifest.batch.max])),
    traffic: admission.traffic,
  });
  const dispatcher = makeDispatcher({ instance, queue, replies });
  const results = makeResults({
    redis: producer,
    keys,
    keepMs: configuration.RESULT_MS,
    resultsMax: configuration.RESULTS_MAX,
  });
  const scoring = makeScoring({ admission, kinds, dispatcher, results, isClosing });
  const { readJson, readAny } = makeBodyReaders(configuration.BODY_BYTES_MAX);

  const app = express();
  app.disable('x-powered-by');
  // An answer to a POST is never asked for again by its tag; computing one costs time.
  app.disable('etag');
  addModelRoutes(app, { models, kinds, scoring, readAny, queue });
  addReferenceRoutes(app, { models, kinds, scoring, readJson, version: packageVersion() });
  addHealthRoutes(app, { models, queue, isClosing });
  app.use(notFound);
  app.use(makeProblemHandler(log, configuration.BODY_BYTES_MAX));

  const isRefused = makeGate({ models, scoring });
  const server = await startServer(app, configuration, isRefused);
  const { address, port } = server;
  log.info({ address, port, models: models.map((model) => model.name) }, 'API is ready');

  return {
    report: { port, models: models.map((model) => model.name) },
    close: async () => {
      closing = true;
      await server.close(configuration.SHUTDOWN_MS);
      peers.close();
      await replyStream.close();
      await queue.close();
      producer.disconnect();
    },
  };
}

function queueLost(): ScorelineError {
  return new ScorelineError(
    'queue_lost',
    'The queue has lost its contents, and this request with them. Ask again.',
    { retryAfterSeconds: 1 },
  );
}

const notFound: RequestHandler = (request) => {
  const addresses = 'POST /score, POST /v1/models/{model}/score, GET /v1/models';
  throw new ScorelineError(
    'not_found',
    `There is nothing at ${request.method} ${request.path.slice(0, 200)}. Try ${addresses}.`,
  );
};
