// What operators look at, for callers with the scope `admin`: the queues as BullMQ has them, and the metrics.
//
// Where nobody has to say who asks, everyone would be an operator. So these addresses are closed with
// AUTH=none. With AUTH unset, they answer requests that name this machine as their host: neither what a
// proxy passes on, nor pages of other sites that a browser here has open.

import type { Express, NextFunction, Request, RequestHandler, Response } from 'express';
import type { Configurations } from '../../../shared/configuration.js';
import { ScorelineError } from '../../../shared/errors.js';
import type { Instruments } from '../../../shared/metrics/instruments.js';
import { sendMetrics } from '../../../shared/side-port.js';
import type { Queue } from '../../queue/queue.js';
import { allow } from '../methods.js';
import { needs } from '../needs.js';
import { notMeasured } from '../not-measured.js';
import { makeQueueBoard } from '../queue-board.js';
import { isLocal } from '../same-origin.js';

const queuesPath = '/admin/queues';
const metricsPath = '/admin/metrics';

export function addAdminRoutes(
  app: Express,
  options: {
    configuration: Pick<Configurations['api'], 'AUTH'>;
    queue: Pick<Queue, 'opened'>;
    /** Undefined if nothing is measured. */
    instruments: Pick<Instruments, 'expose'> | undefined;
  },
): void {
  const { configuration, queue, instruments } = options;
  app.use('/admin', mayLook(configuration), needs());

  app.get(metricsPath, async (request, response) => {
    if (!instruments) throw notMeasured();
    await sendMetrics(request, response, instruments);
  });
  app.all(metricsPath, allow('GET', 'HEAD'));

  let opening: Promise<RequestHandler> | undefined;
  /** The page is loaded when somebody looks at it. */
  const show = async (request: Request, response: Response, next: NextFunction) => {
    opening ??= makeQueueBoard({ app, path: queuesPath, queues: () => queue.opened });
    const board = await opening;
    board(request, response, next);
  };
  app.get(queuesPath, (request, response, next) => {
    request.url = '/';
    return show(request, response, next);
  });
  app.use(queuesPath, allow('GET', 'HEAD'), show);
}

function mayLook({ AUTH }: Pick<Configurations['api'], 'AUTH'>): RequestHandler {
  return (request, _response, next) => {
    if (AUTH === undefined ? isLocal(request) : AUTH.length > 0) return next();
    throw new ScorelineError(
      'scope_missing',
      AUTH === undefined
        ? `Expected a request to this machine, such as http://127.0.0.1/…, because AUTH is not set; got one to ${String(request.headers.host).slice(0, 100)}. Set AUTH=keys or AUTH=oidc to open the addresses under /admin to others.`
        : 'Expected AUTH=keys or AUTH=oidc, which say who is an operator; got AUTH=none. The addresses under /admin are closed.',
    );
  };
}
