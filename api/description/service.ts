// The operations about the service itself: probes, and this description.

import { z } from 'zod';
import { accessCodes, type Context } from './context.js';
import type { Content, Operation, Paths } from './openapi.js';

export const serviceTag = {
  name: 'Service',
  description: 'Probes, and this description.',
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
    '/docs': {
      get: describing(context, {
        operationId: 'docs',
        summary: 'This description as a page',
        content: { 'text/html': { schema: { type: 'string' } } },
      }),
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
  const { headers, problems, optionalSecurity } = context;
  return {
    ...about,
    tags,
    security: optionalSecurity,
    responses: {
      200: { description: 'The description.', headers, content },
      ...problems.responses('description', 'problem', accessCodes(context)),
    },
  };
}

const liveSchema = z.object({ live: z.literal(true) });

function isLive({ answer, parts, problems }: Context): Operation {
  return {
    operationId: 'isLive',
    summary: 'Whether the process answers',
    tags,
    security: [],
    responses: {
      ...answer('It does.', parts.schema('Live', liveSchema)),
      ...problems.responses('probe', 'inference', []),
    },
  };
}

const readySchema = z.object({
  ready: z.literal(true),
  warnings: z.array(z.string()).optional().describe('Clocks that differ.'),
});
const notReadySchema = z.object({ ready: z.literal(false), reason: z.string() });

function isReady({ headers, parts, problems }: Context): Operation {
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
      ...problems.responses('probe', 'inference', []),
      503: { description: 'It cannot yet.', headers, content: json('NotReady', notReadySchema) },
    },
  };
}
