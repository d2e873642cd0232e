// The Express application: which route answers which address.

import express, { type Express, type RequestHandler } from 'express';
import type { Configurations } from '../../shared/configuration.js';
import { ScorelineError } from '../../shared/errors.js';
import type { Logger } from '../../shared/log.js';
import type { Registry } from '../../shared/registry.js';
import { packageVersion } from '../../shared/version.js';
import type { Calls } from '../call.js';
import type { InputKinds } from '../kinds/kinds.js';
import type { Queue } from '../queue/queue.js';
import type { Scoring } from '../scoring.js';
import { makeBodyReaders } from './body.js';
import type { Gate } from './gate.js';
import { makeProblemHandler } from './problem.js';
import { addHealthRoutes } from './routes/health.js';
import { addModelRoutes } from './routes/models.js';
import { addReferenceRoutes } from './routes/reference.js';

export function makeApp(parts: {
  configuration: Pick<Configurations['api'], 'BODY_BYTES_MAX'>;
  registry: Registry;
  calls: Calls;
  gate: Gate;
  kinds: InputKinds;
  scoring: Scoring;
  queue: Pick<Queue, 'countWorkers' | 'readCounts' | 'unansweredIn'>;
  log: Logger;
}): Express {
  const { readJson, readAny } = makeBodyReaders(parts.configuration.BODY_BYTES_MAX);
  const app = express();
  app.disable('x-powered-by');
  // No client revalidates the answer to a POST, and computing an ETag costs time.
  app.disable('etag');
  addModelRoutes(app, { ...parts, readAny });
  addReferenceRoutes(app, { ...parts, readJson, version: packageVersion() });
  addHealthRoutes(app, parts);
  app.use(notFound);
  app.use(makeProblemHandler(parts.log));
  return app;
}

const notFound: RequestHandler = (request) => {
  const addresses = 'POST /score, POST /v1/models/{model}/score, GET /v1/models';
  throw new ScorelineError(
    'not_found',
    `There is nothing at ${request.method} ${request.path.slice(0, 200)}. Try ${addresses}.`,
  );
};
