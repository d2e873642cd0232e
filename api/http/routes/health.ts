// Health probes. Live means that the process answers. Ready means that Redis can be reached, and that
// every model has had a live worker or may scale from zero. An instance that is ready may add warnings
// about clocks, its own and those of other processes.

import type { Express } from 'express';
import type { RedisClock } from '../../../shared/redis-clock.js';
import type { Registry } from '../../../shared/registry.js';
import type { Calls } from '../../call.js';
import { allow } from '../methods.js';
import type { Readiness } from '../readiness.js';

export function addHealthRoutes(
  app: Express,
  options: {
    registry: Registry;
    readiness: Readiness;
    clock: Pick<RedisClock, 'readWarnings'>;
    calls: Pick<Calls, 'isLeaving'>;
  },
): void {
  const { registry, readiness, clock, calls } = options;

  app.all(['/v2/health/live', '/v2/health/ready'], allow('GET', 'HEAD'));

  app.get('/v2/health/live', (_request, response) => {
    response.json({ live: true });
  });

  app.get('/v2/health/ready', async (_request, response) => {
    const reason = await whyNotReady();
    if (reason !== undefined) return void response.status(503).json({ ready: false, reason });
    const warnings = await clock.readWarnings().catch(() => []);
    response.json({ ready: true, ...(warnings.length > 0 && { warnings }) });
  });

  async function whyNotReady(): Promise<string | undefined> {
    if (calls.isLeaving) return 'shutting down';
    const { models } = registry;
    const missing = await readiness.missing(models);
    if (missing === undefined) return 'Redis cannot be reached';
    if (missing.length === 0) return undefined;
    // Anyone may ask, so this names no models.
    return `no worker yet for ${missing.length} of ${models.length} models; see GET /v1/models`;
  }
}
