// The description of the service: an OpenAPI 3.1 document, made from the schemas that validate requests and
// from the manifests of the models that exist for a caller.
//
// It says no more than the service does: what a schema cannot express, such as that the data of a tensor has as
// many elements as its shape, is in its texts.

import { packageVersion } from '../../shared/version.js';
import {
  type DescribedCatalogue,
  type DescribedService,
  makeContext,
  securityOf,
} from './context.js';
import { inferencePaths, inferenceTag } from './inference.js';
import { jobPaths, jobsTag } from './jobs.js';
import { livePaths } from './live.js';
import { nativePaths, nativeTag } from './native.js';
import type { Document, SecurityScheme } from './openapi.js';
import { predictPaths, predictTag } from './predict.js';
import { referencePaths, referenceTag } from './reference.js';
import { servicePaths, serviceTag } from './service.js';
import { sentWebhooks, webhookPaths, webhooksTag } from './webhooks.js';

/** Describes the service to a caller for whom these models exist. */
export function describe(service: DescribedService, catalogue: DescribedCatalogue): Document {
  const context = makeContext(service, catalogue);
  const { AUTH, WEBHOOK_HOSTS } = service.configuration;
  const security = securityOf(AUTH);
  const paths = {
    ...nativePaths(context),
    ...inferencePaths(context),
    ...predictPaths(context),
    ...referencePaths(context),
    ...jobPaths(context),
    ...webhookPaths(context),
    ...livePaths(context),
    ...servicePaths(context),
  };
  const schemes = Object.fromEntries(
    security.flatMap(Object.keys).map((name) => [name, securitySchemes[name]]),
  ) as Record<string, SecurityScheme>;
  return {
    openapi: '3.1.1',
    info: {
      title: 'Scoreline',
      version: packageVersion(),
      summary: 'Real-time model scoring over a queue.',
      description: introduction,
      license: { name: 'MIT', identifier: 'MIT' },
    },
    // Relative to the address of the document, so it also holds behind the prefix of a proxy.
    servers: [{ url: '.', description: 'Where this description comes from.' }],
    security,
    tags: [nativeTag, inferenceTag, predictTag, referenceTag, jobsTag, webhooksTag, serviceTag],
    paths,
    ...(WEBHOOK_HOSTS.length > 0 && { webhooks: sentWebhooks(context) }),
    components: {
      ...context.parts.toComponents(),
      ...(security.length > 0 && { securitySchemes: schemes }),
    },
  };
}

/** Writes a document as JSON. */
export function writeDocument(document: Document): string {
  // JSON.stringify writes large numbers with no more digits than tell them apart. Other programs read all
  // digits, so they need the exact powers of two.
  const large = /(?<=":)-?\d{16,}(?=[,}\]])/g;
  return JSON.stringify(document).replace(large, (digits) => String(BigInt(Number(digits))));
}

const securitySchemes: Readonly<Record<string, SecurityScheme>> = {
  apiKey: { type: 'apiKey', in: 'header', name: 'X-API-Key', description: 'An API key.' },
  bearer: { type: 'http', scheme: 'bearer', description: 'An API key or an access token.' },
};

const introduction = `Send one input to a model and get the answer in the same response. The service batches
requests by itself.

- Every request may say how long its caller waits, and is answered with 504 when that is over.
- With an \`Idempotency-Key\`, a request can be sent again and gets the same result.
- With \`Prefer: respond-async\`, the answer is a job, whose result can be fetched later.
- When there is no room, the answer is 429 with a \`Retry-After\`, before the body is read.
- Bodies may be compressed with gzip, deflate or br.
- An error is a problem document (RFC 9457). Programs should test its \`code\`.`;
