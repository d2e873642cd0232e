// The Express application: which route answers which address.

import type { IncomingMessage, ServerResponse } from 'node:http';
import express, {
  type ErrorRequestHandler,
  type Express,
  type Request,
  type Response,
} from 'express';
import type { Configurations } from '../../shared/configuration/configuration.js';
import type { Instruments } from '../../shared/metrics/instruments.js';
import type { Logger } from '../../shared/process/log.js';
import type { RedisClock } from '../../shared/redis/clock.js';
import type { Registry } from '../../shared/registry/registry.js';
import { packageVersion } from '../../shared/version.js';
import type { SignIn } from '../access/access.js';
import type { Call } from '../call/call.js';
import type { Calls } from '../call/calls.js';
import { Deferred } from '../call/deferral.js';
import type { RequestEvents } from '../events.js';
import type { Description } from '../inference/description.js';
import type { Jobs } from '../jobs/jobs.js';
import { imageLimitsOf } from '../kinds/image.js';
import type { InputKinds } from '../kinds/kinds.js';
import type { Playground } from '../playground/playground.js';
import type { Queue } from '../queue/queue.js';
import type { Readiness } from '../readiness.js';
import type { Scoring } from '../scoring.js';
import type { SeveralInputs } from '../several-inputs/several-inputs.js';
import type { Rollout } from '../versions/rollout.js';
import type { Shadows } from '../versions/shadows.js';
import type { PendingWebhooks } from '../webhooks/pending-webhooks.js';
import type { EventStreams } from './answers/event-streams.js';
import { answerError } from './answers/problem.js';
import { makeBodyReaders } from './body/body.js';
import { makeEntrance } from './gate/entrance.js';
import type { Entry, Gate } from './gate/gate.js';
import type { ScoringRoute } from './gate/open-call.js';
import { addAdminRoutes } from './routes/admin.js';
import { addDescriptionRoutes } from './routes/description.js';
import { addDocsRoutes } from './routes/docs.js';
import { addHealthRoutes } from './routes/health.js';
import { makeScoreInference } from './routes/infer.js';
import { addInferenceRoutes } from './routes/inference.js';
import { addJobEventRoutes } from './routes/job-events.js';
import { addJobRoutes, sendAccepted } from './routes/jobs.js';
import { ListsAndStreams } from './routes/lists-and-streams.js';
import { addLiveRoutes, type LiveParts } from './routes/live.js';
import { addModelRoutes, makeScoreNative } from './routes/models.js';
import { nothingHere } from './routes/nothing-here.js';
import { addPlaygroundRoutes } from './routes/playground.js';
import { addPredictRoutes, makeScorePredict } from './routes/predict.js';
import { addReferenceRoutes, makeScoreReference } from './routes/reference.js';
import { addRepositoryRoutes } from './routes/repository.js';
import { addSignInRoute } from './routes/sign-in.js';
import { addWebhookRoutes } from './routes/webhooks.js';
import { watchRequest } from './watch.js';

export interface App {
  readonly express: Express;
  /** Whether what a proxy at this address says of its clients is believed. */
  isTrusted(address: string): boolean;
  /** Answers a request. */
  serve(request: IncomingMessage, response: ServerResponse): void;
}

export function makeApp(parts: {
  configuration: Configurations['api'];
  registry: Registry;
  calls: Pick<Calls, 'isShuttingDown'>;
  gate: Gate;
  kinds: InputKinds;
  scoring: Scoring;
  severalInputs: SeveralInputs;
  jobs: Pick<Jobs, 'find' | 'read' | 'follow' | 'standingOf' | 'list' | 'cancel'>;
  eventStreams: Pick<EventStreams, 'open'>;
  webhooks: Pick<PendingWebhooks, 'read' | 'listDead' | 'count' | 'countStranded' | 'revive'>;
  queue: Pick<Queue, 'countWorkers' | 'opened' | 'readCounts' | 'unansweredIn'>;
  rollout: Pick<Rollout, 'waiting' | 'load' | 'unload'>;
  shadows: Pick<Shadows, 'countsOf'>;
  readiness: Readiness;
  description: Description;
  /** The most rows of a request of the Open Inference Protocol. */
  rowsMax: number;
  clock: Pick<RedisClock, 'readWarnings'>;
  log: Logger;
  /** Is told of each request. */
  events: RequestEvents;
  instruments?: Pick<Instruments, 'expose'> | undefined;
  live: Omit<LiveParts, 'registry'>;
  /** Undefined where nobody can sign in. */
  signIn?: SignIn | undefined;
  /** Undefined if it is switched off. */
  playground?: Playground | undefined;
}): App {
  const { gate, configuration, events } = parts;
  const { readJson, readAny, readBytes } = makeBodyReaders(
    configuration.BODY_BYTES_MAX,
    configuration.INPUTS_PER_REQUEST_MAX,
  );
  const listsAndStreams = new ListsAndStreams({
    ...parts,
    inputsMax: configuration.INPUTS_PER_REQUEST_MAX,
    lineBytesMax: configuration.BODY_BYTES_MAX,
    pauseMsMax: configuration.REQUEST_MS_MAX,
  });
  const tensorLimits = { jsonBytesMax: configuration.TENSOR_JSON_BYTES_MAX };
  const scores = {
    native: makeScoreNative({ ...parts, listsAndStreams, readAny }),
    reference: makeScoreReference({ ...parts, readJson }),
    inference: makeScoreInference({ ...parts, ...tensorLimits, readBytes }),
    predict: makeScorePredict({ ...parts, ...tensorLimits, readBytes, listsAndStreams }),
  };
  /** Answers a request that has no answer yet: with its job, or with an error. */
  const answerLate = (thrown: unknown, response: Response) => {
    if (thrown instanceof Deferred && !response.headersSent) sendAccepted(response, thrown);
    else answerError(thrown, response);
  };
  const handleError: ErrorRequestHandler = (thrown, _request, response, _next) =>
    answerLate(thrown, response);

  const app = express();
  app.disable('x-powered-by');
  // No client revalidates the answer to a POST, and computing an ETag costs time.
  app.disable('etag');
  app.set('trust proxy', configuration.TRUST_PROXY);
  addModelRoutes(app, { ...parts, score: scores.native });
  addJobRoutes(app, parts);
  addJobEventRoutes(app, parts);
  addWebhookRoutes(app, parts);
  addLiveRoutes(app, { ...parts.live, registry: parts.registry });
  addReferenceRoutes(app, { ...parts, score: scores.reference, version: packageVersion() });
  addPlaygroundRoutes(app, parts);
  addHealthRoutes(app, parts);
  addRepositoryRoutes(app, parts);
  addPredictRoutes(app, { ...parts, score: scores.predict });
  addInferenceRoutes(app, { ...parts, score: scores.inference });
  addDescriptionRoutes(app, {
    ...parts,
    service: { ...parts, imageLimits: imageLimitsOf(configuration) },
  });
  addDocsRoutes(app);
  addSignInRoute(app, parts);
  addAdminRoutes(app, parts);
  const metrics = 'Metrics have a port of their own: set METRICS_PORT. See GET /docs/metrics.';
  app.use('/metrics', nothingHere(metrics));
  app.use(nothingHere(`Try ${addresses}.`));
  app.use(handleError);

  const mayEnter = makeEntrance(configuration);

  /** Skips the router, which would only find again what the gate knows. */
  const score = (route: ScoringRoute, request: Request & { call?: Call }, response: Response) => {
    const { call } = request;
    if (!call) throw new Error('The gate opens a call for each route that scores. This is a bug.');
    scores[route](call, request, response).catch((thrown) => answerLate(thrown, response));
  };

  const goOn = (entry: Entry, request: IncomingMessage, response: ServerResponse): void => {
    if (entry === 'router') app(request, response);
    else if (entry !== 'refused') {
      // The server makes requests and responses with the prototypes of Express.
      score(entry, request as unknown as Request, response as unknown as Response);
    }
  };

  const trusts = app.get('trust proxy fn') as (address: string, hop: number) => boolean;

  return {
    express: app,
    isTrusted: (address) => trusts(address, 0),
    serve(request, response) {
      watchRequest(request, response, events);
      try {
        if (!mayEnter(request, response)) return;
      } catch (thrown) {
        return answerError(thrown, response);
      }
      const entry = gate.letIn(request, response);
      if (entry instanceof Promise) {
        entry
          .then((later) => goOn(later, request, response))
          .catch((thrown) => answerError(thrown, response));
      } else goOn(entry, request, response);
    },
  };
}

/** Where to go from an address at which there is nothing. */
const addresses =
  'POST /score, POST /v1/models/{model}/score, POST /v2/models/{model}/infer, GET /v1/models, GET /docs';
