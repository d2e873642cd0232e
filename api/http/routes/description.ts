// The description of the service: as an OpenAPI document, and as a page.

import type { Express, Request } from 'express';
import type { Registry } from '../../../shared/registry/registry.js';
import { catalogueOf } from '../../access/caller.js';
import type { DescribedService } from '../../description/context.js';
import { pagePolicy } from '../../description/page/page.js';
import { DescriptionWriter } from '../../description/writer.js';
import { sendCompressed } from '../answers/compression.js';
import { callerOf } from '../gate/gate.js';
import { allow } from '../gate/methods.js';

export function addDescriptionRoutes(
  app: Express,
  { registry, service }: { registry: Registry; service: DescribedService },
): void {
  const writer = new DescriptionWriter(service);
  const catalogueFor = (request: Request) => catalogueOf(callerOf(request), registry);

  app.get('/openapi.json', async (request, response) => {
    const document = await writer.write('document', catalogueFor(request));
    return sendCompressed(response, document, {
      'Content-Type': 'application/json; charset=utf-8',
    });
  });

  app.get('/docs/api', async (request, response) => {
    const page = await writer.write('page', catalogueFor(request));
    return sendCompressed(response, page, {
      'Content-Type': 'text/html; charset=utf-8',
      // In the case in which answer-headers.ts has it, since it takes the place of that one.
      'content-security-policy': pagePolicy,
    });
  });

  app.all(['/openapi.json', '/docs/api'], allow('GET', 'HEAD'));
}
