// The description of the service: as an OpenAPI document, and as a page.

import type { Express, Request } from 'express';
import type { Catalogue, Registry } from '../../../shared/registry/registry.js';
import { catalogueOf } from '../../access/caller.js';
import type { DescribedService } from '../../description/context.js';
import { describe, writeDocument } from '../../description/document.js';
import { pagePolicy, writePage } from '../../description/page/page.js';
import { sendCompressed } from '../compression.js';
import { callerOf } from '../gate.js';
import { allow } from '../methods.js';

/** How many different sets of models, each with its own description, are kept. */
const keptMax = 16;

interface Described {
  readonly json: string;
  /** Made when somebody asks for it. */
  page?: string;
}

export function addDescriptionRoutes(
  app: Express,
  { registry, service }: { registry: Registry; service: DescribedService },
): void {
  const kept = new Map<string, Described>();

  /** Callers for whom the same models exist share a description. */
  const describeTo = (catalogue: Catalogue): Described => {
    const { models, splits, refusals } = catalogue;
    const queues = models.map(({ queue }) => queue);
    const key = JSON.stringify([queues, [...splits.keys()], [...refusals.keys()]]);
    const known = kept.get(key);
    if (known) return known;
    const made = { json: writeDocument(describe(service, catalogue)) };
    const [oldest] = kept.keys();
    if (kept.size >= keptMax && oldest !== undefined) kept.delete(oldest);
    kept.set(key, made);
    return made;
  };

  const describeFor = (request: Request) => describeTo(catalogueOf(callerOf(request), registry));

  app.get('/openapi.json', (request, response) =>
    sendCompressed(response, describeFor(request).json, {
      'Content-Type': 'application/json; charset=utf-8',
    }),
  );

  app.get('/docs/api', (request, response) => {
    const described = describeFor(request);
    described.page ??= writePage(JSON.parse(described.json));
    return sendCompressed(response, described.page, {
      'Content-Type': 'text/html; charset=utf-8',
      // In the case in which answer-headers.ts has it, since it takes the place of that one.
      'content-security-policy': pagePolicy,
    });
  });

  app.all(['/openapi.json', '/docs/api'], allow('GET', 'HEAD'));
}
