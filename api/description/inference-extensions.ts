// The operations of two extensions of the Open Inference Protocol: configurations and statistics of models.

import { z } from 'zod';
import { accessCodes, type Context } from './context.js';
import type { Operation, Parameter, Paths } from './openapi.js';

const valueSchema = z.object({
  name: z.string(),
  data_type: z.string().describe('`TYPE_` and the datatype, or `TYPE_STRING` for BYTES.'),
  dims: z.array(z.int().min(-1)).describe('The shape of a row; -1 is a size that varies.'),
});

const configurationSchema = z.object({
  name: z.string(),
  platform: z.string(),
  backend: z.string(),
  max_batch_size: z.int().min(0).describe('The most rows of a request; 0 if it has none.'),
  input: z.array(valueSchema),
  output: z.array(valueSchema),
  dynamic_batching: z
    .object({})
    .optional()
    .describe('There if requests share runs of the model. It has no keys.'),
});

const durationSchema = z.object({
  count: z.int().min(0),
  ns: z.int().min(0).describe('Nanoseconds, all together.'),
});

const statisticsSchema = z.object({
  model_stats: z.array(
    z.object({
      name: z.string(),
      version: z.string(),
      last_inference: z.int().min(0).describe('Milliseconds since 1970; 0 if there was none.'),
      inference_count: z.int().min(0).describe('Rows that were scored.'),
      execution_count: z.int().min(0).describe('Runs of the model.'),
      inference_stats: z.object({
        success: durationSchema.describe('Requests that were answered.'),
        fail: durationSchema.describe('Requests that were let in and failed.'),
        queue: durationSchema.describe('Until a worker took them.'),
        compute_input: durationSchema.describe('From then until the run began.'),
        compute_infer: durationSchema.describe('The run of the whole batch.'),
        compute_output: durationSchema.describe('Until the reply had reached the API.'),
        cache_hit: durationSchema.describe(
          'Answered with a result of another request: kept under their key, in the cache, or in flight.',
        ),
        cache_miss: durationSchema.describe('Always 0.'),
      }),
      batch_stats: z.array(z.unknown()).max(0),
    }),
  ),
});

/** What each address of a model has, and the parameters of such addresses. */
interface Addresses {
  readonly tags: readonly string[];
  readonly model: readonly Parameter[];
  readonly versioned: readonly Parameter[];
}

export function extensionPaths(context: Context, { tags, model, versioned }: Addresses): Paths {
  const { parts, problemsOf } = context;
  const access = accessCodes(context);
  const unknown = ['model_not_found', 'model_load_failed', 'not_found'] as const;

  const configuration = (operationId: string, parameters: readonly Parameter[]): Operation => ({
    operationId,
    summary: 'Configure clients for a model',
    description: 'What clients of Triton read of its configuration.',
    tags,
    parameters,
    responses: {
      ...context.answer(
        'The configuration.',
        parts.schema('ModelConfiguration', configurationSchema),
      ),
      ...problemsOf('metadata', 'inference', [...access, ...unknown, 'network_undeclared']),
    },
  });

  const statistics = (operationId: string, parameters?: readonly Parameter[]): Operation => ({
    operationId,
    summary: parameters ? 'Count the requests of a model' : 'Count the requests of all models',
    description: 'What this API process has answered since it started, and where the time went.',
    tags,
    ...(parameters && { parameters }),
    responses: {
      ...context.answer('The statistics.', parts.schema('ModelStatistics', statisticsSchema)),
      ...(parameters
        ? problemsOf('statistics', 'inference', [...access, ...unknown])
        : problemsOf('server', 'inference', access)),
    },
  });

  const path = '/v2/models/{model}';
  const versionPath = `${path}/versions/{version}`;
  return {
    '/v2/models/stats': { get: statistics('statistics') },
    [`${path}/config`]: { get: configuration('modelConfiguration', model) },
    [`${versionPath}/config`]: { get: configuration('modelVersionConfiguration', versioned) },
    [`${path}/stats`]: { get: statistics('modelStatistics', model) },
    [`${versionPath}/stats`]: { get: statistics('modelVersionStatistics', versioned) },
  };
}
