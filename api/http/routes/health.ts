// Health probes. Live means that the process answers. Ready means that Redis can be reached, and that
// every model has had a live worker or may scale from zero. An instance that is ready may add warnings
// about clocks, its own and those of other processes.

import type { Express } from 'express';
import type { RedisClock } from '../../../shared/redis/clock.js';
import type { Readiness } from '../../readiness.js';
import { allow } from '../gate/methods.js';

export function addHealthRoutes(
  app: Express,
  options: {
    readiness: Readiness;
    clock: Pick<RedisClock, 'readWarnings'>;
  },
): void {
  const { readiness, clock } = options;

  app.all(['/v2/health/live', '/v2/health/ready'], allow('GET', 'HEAD'));

  app.get('/v2/health/live', (_request, response) => {
    response.json({ live: true });
  });

  app.get('/v2/health/ready', async (_request, response) => {
    const reason = await readiness.whyNot();
    if (reason !== undefined) return void response.status(503).json({ ready: false, reason });
    const warnings = await clock.readWarnings().catch(() => []);
    response.json({ ready: true, ...(warnings.length > 0 && { warnings }) });
  });
}
