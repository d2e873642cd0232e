// The operations about the service itself: probes, this description, and what operators look at.

import { z } from 'zod';
import type { ErrorCode } from '../../shared/errors.js';
import { signInPath } from '../http/paths.js';
import { accessCodes, type Context } from './context.js';
import type { Content, Operation, Paths } from './openapi.js';

export const serviceTag = {
  name: 'Service',
  description: 'Probes, this description, and what operators look at.',
};
const tags = [serviceTag.name];

export function servicePaths(context: Context): Paths {
  return {
    '/v2/health/live': { get: isLive(context) },
    '/v2/health/ready': { get: isReady(context) },
    '/openapi.json': {
      get: describing(context, {
        operationId: 'openapi',
        summary: 'This description',
        description:
          'It names the models that exist for the caller, and none to callers who show no key or token.',
        content: { 'application/json': { schema: { type: 'object' } } },
      }),
    },
    '/docs/api': {
      get: describing(context, {
        operationId: 'apiPage',
        summary: 'This description as a page',
        content: { 'text/html': { schema: { type: 'string' } } },
      }),
    },
    '/docs': { get: docs(context) },
    [signInPath]: { get: signIn(context) },
    '/playground/{sample}': {
      get: {
        operationId: 'sample',
        summary: 'A picture that the page at / offers',
        tags,
        security: [],
        parameters: [
          {
            name: 'sample',
            in: 'path',
            required: true,
            description: 'Its name.',
            schema: { type: 'string' },
          },
        ],
        responses: {
          200: {
            description: 'The picture.',
            headers: context.headers,
            content: { 'image/jpeg': { schema: { type: 'string', format: 'binary' } } },
          },
          ...context.problemsOf('sample', 'problem', ['not_found']),
        },
      },
    },
    '/admin/queues': {
      get: forOperators(context, {
        operationId: 'queues',
        summary: 'The queues as a page',
        description:
          'The jobs in the queues, without their inputs. A browser may send the key or token as the password of Basic.',
        content: { 'text/html': { schema: { type: 'string' } } },
      }),
    },
    '/admin/metrics': {
      get: forOperators(context, {
        operationId: 'metrics',
        summary: 'The metrics of the API instance that answers',
        description: 'In the text format of Prometheus. There are none without METRICS_PORT.',
        content: { 'text/plain': { schema: { type: 'string' } } },
        codes: ['not_found'],
      }),
    },
  };
}

/** Needs the scope `admin`, and that callers say who they are, unless they ask on the same machine. */
function forOperators(
  context: Context,
  {
    content,
    codes = [],
    ...about
  }: Pick<Operation, 'operationId' | 'summary' | 'description'> & {
    content: Content;
    codes?: readonly ErrorCode[];
  },
): Operation {
  const { headers, problemsOf } = context;
  const all = new Set<ErrorCode>([...accessCodes(context), 'scope_missing', ...codes]);
  return {
    ...about,
    tags,
    responses: {
      200: { description: 'What there is now.', headers, content },
      ...problemsOf('operators', 'problem', [...all]),
    },
  };
}

function describing(
  context: Context,
  {
    content,
    ...about
  }: Pick<Operation, 'operationId' | 'summary' | 'description'> & { content: Content },
): Operation {
  const { headers, problemsOf, optionalSecurity } = context;
  return {
    ...about,
    tags,
    security: optionalSecurity,
    responses: {
      200: { description: 'The description.', headers, content },
      ...problemsOf('description', 'problem', accessCodes(context)),
    },
  };
}

const signInSchema = z.object({
  issuer: z.string(),
  clientId: z.string().describe('A public client, which uses codes with PKCE.'),
  scopes: z.array(z.string()),
  authorizationEndpoint: z.string(),
  tokenEndpoint: z.string(),
});

function signIn({ answer, parts, problemsOf }: Context): Operation {
  return {
    operationId: 'signIn',
    summary: 'How people sign in with a browser',
    description: 'There is nothing if no client is configured for that. Open to all.',
    tags,
    security: [],
    responses: {
      ...answer('At the issuer of access tokens.', parts.schema('SignIn', signInSchema)),
      ...problemsOf('signIn', 'problem', ['not_found', 'issuer_unavailable']),
    },
  };
}

function docs({ headers, problemsOf }: Context): Operation {
  return {
    operationId: 'docs',
    summary: 'The docs',
    description: 'A page that leads to the chapters, which are below this address. Open to all.',
    tags,
    security: [],
    responses: {
      200: {
        description: 'The first chapter.',
        headers,
        content: { 'text/html': { schema: { type: 'string' } } },
      },
      ...problemsOf('docs', 'problem', ['not_found']),
    },
  };
}

const liveSchema = z.object({ live: z.literal(true) });

function isLive({ answer, parts, problemsOf }: Context): Operation {
  return {
    operationId: 'isLive',
    summary: 'Whether the process answers',
    tags,
    security: [],
    responses: {
      ...answer('It does.', parts.schema('Live', liveSchema)),
      ...problemsOf('probe', 'inference', []),
    },
  };
}

const readySchema = z.object({
  ready: z.literal(true),
  warnings: z.array(z.string()).optional().describe('Clocks that differ.'),
});
const notReadySchema = z.object({ ready: z.literal(false), reason: z.string() });

function isReady({ headers, parts, problemsOf }: Context): Operation {
  const json = (name: string, schema: z.ZodType) => ({
    'application/json': { schema: parts.schema(name, schema) },
  });
  return {
    operationId: 'isReady',
    summary: 'Whether the service can score',
    tags,
    security: [],
    responses: {
      200: {
        description: 'Redis can be reached, and every model has had a worker or scales from zero.',
        headers,
        content: json('Ready', readySchema),
      },
      ...problemsOf('probe', 'inference', []),
      503: { description: 'It cannot yet.', headers, content: json('NotReady', notReadySchema) },
    },
  };
}
