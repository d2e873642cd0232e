// The operation of the live view.

import { z } from 'zod';
import { percentiles } from '../live/point.js';
import { samplesMax } from '../live/series.js';
import { accessCodes, type Context } from './context.js';
import type { Operation, Parameter, Paths } from './openapi.js';
import { serviceTag } from './service.js';

const column = z.array(z.number().nullable());
const rates = {
  requests: column.describe('Answered requests that score, per second.'),
  failures: column.describe('Those that failed by a fault of the service.'),
  refusals: z.record(z.string(), column).describe('Those that were refused, by reason.'),
};
const modelSchema = z.object({
  model: z.string(),
  version: z.string(),
  ...rates,
  latencyMs: z
    .object(Object.fromEntries(percentiles.map((name) => [name, column])))
    .describe('How long requests took, in milliseconds. Streams are left out.'),
  batchSize: column.describe('The mean rows of a run.'),
  unanswered: column.describe('Rows without an answer, from all API instances.'),
  workers: column.describe('Live workers.'),
});
const liveSchema = z.object({
  instance: z
    .string()
    .describe('The API instance that answers. Each has counted its own requests.'),
  stepMs: z.int().describe('The time between two samples, in milliseconds.'),
  times: z.array(z.int()).describe('When each sample was taken, in milliseconds since the epoch.'),
  models: z
    .array(modelSchema)
    .describe('A number for each sample; null if it is not known or there was none.'),
  unnamed: z
    .object(rates)
    .optional()
    .describe('Requests that name no model that is served, or were refused before it was known.'),
  localWorkers: z
    .array(z.object({ pid: z.int(), isReady: z.boolean() }))
    .optional()
    .describe('In a local run: the processes of the workers.'),
});

const after: Parameter = {
  name: 'after',
  in: 'query',
  description: 'Only samples after this time, which is one of `times`.',
  schema: { type: 'integer', minimum: 0, maximum: 999_999_999_999_999 },
};

export function livePaths(context: Context): Paths {
  return { '/v1/live': { get: watch(context) } };
}

function watch(context: Context): Operation {
  const { parts, problemsOf } = context;
  return {
    operationId: 'live',
    summary: 'What happened in the last minutes',
    description: `The last ${samplesMax} seconds of the API instance that answers. It begins to take samples when it is asked, and ends when it has not been asked for as long. There are none without METRICS_PORT.`,
    tags: [serviceTag.name],
    parameters: [after],
    responses: {
      ...context.answer('The samples.', parts.schema('LiveView', liveSchema)),
      ...problemsOf('live', 'problem', [
        ...accessCodes(context),
        ...(['not_found', 'parameter_invalid'] as const),
      ]),
    },
  };
}
