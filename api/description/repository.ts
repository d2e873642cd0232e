// The operations that load and unload models.

import { z } from 'zod';
import { accessCodes, type Context } from './context.js';
import type { Operation, Parameter, Paths } from './openapi.js';
import { toSchema } from './parts.js';

export function repositoryPaths(
  context: Context,
  { tags, model }: { tags: readonly string[]; model: Parameter },
): Paths {
  const { parts, problemsOf } = context;
  const done = parts.schema('RepositoryDone', z.object({}));
  const order = (about: Pick<Operation, 'operationId' | 'summary' | 'description'>): Operation => ({
    ...about,
    tags,
    parameters: [model],
    requestBody: {
      required: false,
      content: {
        'application/json': {
          schema: toSchema(
            z.object({
              parameters: z.object({ unload_dependents: z.boolean().optional() }).optional(),
            }),
          ),
          example: {},
        },
      },
    },
    responses: {
      ...context.answer('It is done.', done),
      ...problemsOf('repository', 'inference', [
        ...accessCodes(context),
        ...(['scope_missing', 'model_not_found', 'model_load_failed', 'not_found'] as const),
        ...(['invalid_json', 'parameter_invalid'] as const),
        ...(['queue_unavailable', 'deadline_exceeded'] as const),
      ]),
    },
  });
  return {
    '/v2/repository/models/{model}/load': {
      post: order({
        operationId: 'loadModel',
        summary: 'Load a model',
        description:
          'Has API and workers look at its folder now, and waits until each of its versions has a worker, or gets requests without one because it may scale from zero and no worker runs. What cannot be loaded changes nothing. For callers with the scope `admin`.',
      }),
    },
    '/v2/repository/models/{model}/unload': {
      post: order({
        operationId: 'unloadModel',
        summary: 'Unload a model',
        description:
          'Takes it out of the service until it is loaded again. Requests that have come are answered. For callers with the scope `admin`.',
      }),
    },
  };
}
