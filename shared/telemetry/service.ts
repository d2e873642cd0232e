// The resource: which service and which process telemetry comes from.

import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import process from 'node:process';
import {
  defaultResource,
  detectResources,
  envDetector,
  type Resource,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import type { Role } from '../configuration/configuration.js';
import { packageVersion } from '../version.js';

/** OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win over what is known otherwise. */
export function makeResource(role: Role): Resource {
  const own = resourceFromAttributes({
    'service.name': `scoreline-${role}`,
    'service.namespace': 'scoreline',
    'service.version': packageVersion(),
    'service.instance.id': randomUUID(),
    'host.name': hostname(),
    'process.pid': process.pid,
    'process.runtime.name': 'nodejs',
    'process.runtime.version': process.versions.node,
  });
  return defaultResource()
    .merge(own)
    .merge(detectResources({ detectors: [envDetector] }));
}
