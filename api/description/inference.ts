// The operations of the Open Inference Protocol.

import { z } from 'zod';
import { networkSchema } from '../../shared/manifest/network.js';
import type { Model } from '../../shared/registry/models.js';
import { datatypes } from '../../shared/tensors/tensors.js';
import { flatSchemas } from '../inference/element-schema.js';
import { anyInferForms, inferFormsOf } from '../inference/forms.js';
import { indexRequestSchema } from '../inference/index-request.js';
import { accessCodes, type Context } from './context.js';
import { extensionPaths } from './inference-extensions.js';
import type { Content, Header, Operation, Parameter, Paths } from './openapi.js';
import { toSchema } from './parts.js';
import { inferenceErrorSchema } from './problems.js';
import { repositoryPaths } from './repository.js';
import {
  accepted,
  inPath,
  type OperationOf,
  partName,
  scoredHeaders,
  scoringCodes,
  scoringParameters,
  scoringPaths,
} from './scoring.js';

export const inferenceTag = {
  name: 'Open Inference Protocol',
  description: 'What clients of Triton and KServe speak: named tensors, in JSON or in binary.',
};
const tags = [inferenceTag.name];

export function inferencePaths(context: Context): Paths {
  const { models, latest } = context.catalogue;
  const inModels = (of: readonly Model[]) =>
    inPath(
      'model',
      'The name of the model.',
      of.map(({ name }) => name),
    );
  const model = inModels(models);
  const unversioned = inModels(latest);
  const version = inPath(
    'version',
    'The version of the model.',
    models.map((each) => each.version),
  );
  const versioned = [model, version];
  const path = '/v2/models/{model}';
  const versionPath = `${path}/versions/{version}`;
  return {
    '/v2': { get: describeServer(context) },
    '/v2/repository/index': { post: listRepository(context) },
    ...repositoryPaths(context, { tags, model }),
    [path]: { get: describeModel(context, 'modelMetadata', [unversioned]) },
    [versionPath]: { get: describeModel(context, 'modelVersionMetadata', versioned) },
    [`${path}/ready`]: { get: isModelReady(context, 'isModelReady', [unversioned]) },
    [`${versionPath}/ready`]: { get: isModelReady(context, 'isModelVersionReady', versioned) },
    ...extensionPaths(context, { tags, model: [model], versioned }),
    ...scoringPaths(context, ['/v2/models', '/infer'], (each) => infer(context, each)),
  };
}

function infer(context: Context, model: Model | undefined): OperationOf | undefined {
  if (model && !model.manifest.network) return undefined;
  const { parts, problemsOf } = context;
  const forms = formsOf(context, model);
  const jsonBytes = {
    description: 'How many bytes of the body are JSON. The data of binary tensors follows.',
    schema: { type: 'integer', minimum: 0 },
  } satisfies Header;
  const header: Parameter = { name: 'Inference-Header-Content-Length', in: 'header', ...jsonBytes };
  const codes = [
    ...scoringCodes(context),
    ...(['tensor_invalid', 'inputs_refused', 'text_too_long'] as const),
    ...(model ? [] : (['network_undeclared'] as const)),
  ];
  return ({ suffix, parameters }) => ({
    operationId: `infer${suffix}`,
    summary: model ? `Infer with ${model.name}` : 'Infer',
    description:
      'The named tensors of the network in, and its outputs out. In a body of JSON the tensors have `data`. In a binary one they have `parameters.binary_data_size` instead, and their data follows the JSON.',
    tags,
    parameters: [
      ...parameters,
      parts.parameter('InferenceHeader', header),
      ...scoringParameters(context),
    ],
    requestBody: { required: true, content: forms.request },
    responses: {
      200: {
        description: 'The outputs. They are binary if the request asks for that.',
        headers: {
          ...scoredHeaders(context),
          'Inference-Header-Content-Length': parts.header('InferenceHeader', jsonBytes),
          ...serverTiming(context),
        },
        content: forms.response,
      },
      ...accepted(context),
      ...problemsOf(model ? 'infer' : 'anyInfer', 'inference', codes),
    },
  });
}

export function serverTiming({ parts }: Pick<Context, 'parts'>) {
  return {
    'Server-Timing': parts.header('ServerTiming', {
      description:
        'Where the time of the slowest input went, in milliseconds: the queue, the wait for its batch, with the size of that as `desc`, and the run, as in `queue;dur=1.8, batch;dur=0.2;desc=4, run;dur=0.7`.',
      schema: { type: 'string' },
    }),
  };
}

function formsOf(
  { parts, rowsMax, catalogue }: Context,
  model: Model | undefined,
): { request: Content; response: Content } {
  const forms = model ? inferFormsOf(model, rowsMax) : undefined;
  const { request, response: own } = forms ?? anyInferForms;
  // Where versions share the requests, the answer may come from any of them.
  const isShared = model && catalogue.splits.has(model.name) && own instanceof z.ZodObject;
  const response = isShared ? own.extend({ model_version: z.string() }) : own;
  describeData(parts, model);
  const binary = { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } };
  return {
    request: {
      'application/json': {
        schema: parts.schema(partName('InferRequest', model), request),
        ...(forms?.example !== undefined && { example: forms.example }),
      },
      ...binary,
    },
    response: {
      'application/json': { schema: parts.schema(partName('InferResponse', model), response) },
      ...binary,
    },
  };
}

/** Describes the data of each datatype that a network has, so requests and answers refer to it. */
export function describeData(parts: Context['parts'], model: Model | undefined): void {
  const { inputs = [], outputs = [] } = model?.manifest.network ?? {};
  const used = new Set([...inputs, ...outputs].map(({ datatype }) => datatype));
  if (outputs.length > 0) used.add('BYTES');
  for (const datatype of datatypes) {
    if (used.has(datatype)) parts.schema(`${datatype}Data`, flatSchemas[datatype]);
  }
}

const serverSchema = z.object({
  name: z.literal('scoreline'),
  version: z.string(),
  extensions: z.array(z.string()).describe('The extensions of the protocol that it knows.'),
});

function describeServer(context: Context): Operation {
  return {
    operationId: 'serverMetadata',
    summary: 'Describe the service',
    tags,
    responses: {
      ...context.answer('The service.', context.parts.schema('ServerMetadata', serverSchema)),
      ...context.problemsOf('server', 'inference', accessCodes(context)),
    },
  };
}

const metadataSchema = z.object({
  name: z.string(),
  versions: z.array(z.string()),
  platform: z.string(),
  ...networkSchema.shape,
});

function describeModel(
  context: Context,
  operationId: string,
  parameters: readonly Parameter[],
): Operation {
  return {
    operationId,
    summary: 'Describe a model',
    description:
      'Its versions, and the inputs and outputs of its network. -1 is a size that varies.',
    tags,
    parameters,
    responses: metadataAnswers(
      context,
      'The model.',
      context.parts.schema('ModelMetadata', metadataSchema),
    ),
  };
}

/** The answers at an address that describes the network of a model. */
export function metadataAnswers(context: Context, ...answer: Parameters<Context['answer']>) {
  const codes = [
    ...accessCodes(context),
    ...(['model_not_found', 'model_load_failed', 'network_undeclared', 'not_found'] as const),
  ];
  return {
    ...context.answer(...answer),
    ...context.problemsOf('metadata', 'inference', codes),
  };
}

export const modelReadySchema = z.object({
  name: z.string(),
  ready: z.boolean(),
  reason: z.string().optional().describe('Why it is not ready, as a code if it cannot be loaded.'),
});

export function isModelReady(
  context: Context,
  operationId: string,
  parameters: readonly Parameter[],
  ready = context.parts.schema('ModelReady', modelReadySchema),
): Operation {
  const { parts, problemsOf, headers } = context;
  const access = accessCodes(context);
  // An issuer that cannot be reached has the same status as a model that is not ready.
  const isIssuerAsked = access.includes('issuer_unavailable');
  const codes = [
    ...access.filter((code) => code !== 'issuer_unavailable'),
    ...(['model_not_found', 'model_load_failed', 'not_found'] as const),
  ];
  const error = () => parts.schema('InferenceError', inferenceErrorSchema);
  return {
    operationId,
    summary: 'Whether a model can be scored',
    tags,
    parameters,
    responses: {
      ...context.answer('It has had a worker, or scales from zero.', ready),
      ...problemsOf('modelReady', 'inference', codes),
      503: {
        description: 'It has no worker yet, or Redis cannot be reached.',
        headers,
        content: {
          'application/json': { schema: isIssuerAsked ? { anyOf: [ready, error()] } : ready },
        },
      },
    },
  };
}

const indexSchema = z.array(
  z.object({
    name: z.string(),
    version: z.string().optional(),
    state: z.enum(['READY', 'UNAVAILABLE']),
    reason: z.string(),
  }),
);

function listRepository(context: Context): Operation {
  const { parts, problemsOf } = context;
  return {
    operationId: 'repositoryIndex',
    summary: 'List the models, with their state',
    tags,
    requestBody: {
      required: false,
      content: { 'application/json': { schema: toSchema(indexRequestSchema), example: {} } },
    },
    responses: {
      ...context.answer('The models.', parts.schema('RepositoryIndex', indexSchema)),
      ...problemsOf('index', 'inference', [...accessCodes(context), 'input_invalid']),
    },
  };
}
