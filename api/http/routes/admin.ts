// What operators look at, for callers with the scope `admin`: the queues as BullMQ has them, and the metrics.

import type { Express, NextFunction, Request, RequestHandler, Response } from 'express';
import type { Configurations } from '../../../shared/configuration/configuration.js';
import type { Instruments } from '../../../shared/metrics/instruments.js';
import { sendMetrics } from '../../../shared/process/side-port.js';
import type { Queue } from '../../queue/queue.js';
import { allow } from '../gate/methods.js';
import { needs } from '../gate/needs.js';
import { forOperators } from '../gate/operators.js';
import { notMeasured } from '../not-measured.js';
import { makeQueueBoard } from '../queue-board.js';

const queuesPath = '/admin/queues';
const metricsPath = '/admin/metrics';

export function addAdminRoutes(
  app: Express,
  options: {
    configuration: Pick<Configurations['api'], 'AUTH'>;
    queue: Pick<Queue, 'opened'>;
    /** Undefined if nothing is measured. */
    instruments?: Pick<Instruments, 'expose'> | undefined;
  },
): void {
  const { configuration, queue, instruments } = options;
  app.use('/admin', forOperators(configuration, 'under /admin'), needs());

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
