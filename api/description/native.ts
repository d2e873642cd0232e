// The operations of the native contract: scoring by model, and the list of models.

import { z } from 'zod';
import type { ErrorCode } from '../../shared/errors.js';
import { embeddingSchema } from '../../shared/manifest/embedding.js';
import { inputSchema } from '../../shared/manifest/manifest.js';
import { networkSchema } from '../../shared/manifest/network.js';
import { scoresClasses } from '../../shared/manifest/output.js';
import type { Model } from '../../shared/registry/models.js';
import { deadlineMsSchema, topSchema } from '../http/parameters/parameters.js';
import { prioritySchema } from '../http/parameters/priority.js';
import { kindsOf, outputKinds } from '../kinds/kinds.js';
import { accessCodes, type Context } from './context.js';
import type { Content, Operation, Parameter, Paths, Schema } from './openapi.js';
import { toSchema } from './parts.js';
import {
  accepted,
  type OperationOf,
  partName,
  scoredHeaders,
  scoringCodes,
  scoringParameters,
  scoringPaths,
  timingSchema,
} from './scoring.js';
import { answerLines, listRequest, listResponse, requestLines } from './several-inputs.js';

export const nativeTag = {
  name: 'Models',
  description:
    'Each model at an address of its own: a request has one input or several, and the answer is in the terms of the model.',
};
const tags = [nativeTag.name];
const binary: Schema = { type: 'string', format: 'binary' };

export function nativePaths(context: Context): Paths {
  return {
    '/v1/models': { get: listModels(context) },
    ...scoringPaths(context, ['/v1/models', '/score'], (each) => scoreNative(context, each)),
  };
}

interface NativeForms {
  readonly codes: readonly ErrorCode[];
  readonly content: Content;
  /** Undefined if the model has no classes. */
  readonly top: Schema | undefined;
  readonly predictions: z.ZodType;
}

function scoreNative(context: Context, model: Model | undefined): OperationOf | undefined {
  if (model?.manifest.input.kind === 'tensors') return undefined;
  const { parts, problemsOf } = context;
  const { codes, content, top, predictions } = model ? formsOf(context, model) : anyForms(context);
  const response = responseOf(context, model, predictions);
  const answer = parts.schema(partName('ScoreResponse', model), response);
  const answers = listResponse(context, model, response);
  const all = [...scoringCodes(context), ...codes] as const;
  return ({ suffix, parameters }) => ({
    operationId: `score${suffix}`,
    summary: model ? `Score with ${model.name}` : 'Score an input',
    ...(model && { description: model.manifest.description }),
    tags,
    parameters: [...parameters, ...topParameters(top), ...scoringParameters(context)],
    requestBody: { required: true, content },
    responses: {
      200: {
        description: 'What the model answers to the input, or to each of several.',
        headers: scoredHeaders(context),
        content: {
          'application/json': { schema: { anyOf: [answer, answers] } },
          'application/x-ndjson': answerLines,
        },
      },
      ...accepted(context),
      ...problemsOf(`${model?.manifest.input.kind ?? 'any'}Score`, 'problem', all),
    },
  });
}

function topParameters(schema: Schema | undefined): readonly Parameter[] {
  if (!schema) return [];
  const description =
    'How many of the best classes to answer with. That of a body in JSON or of a form counts before it.';
  return [{ name: 'top', in: 'query', description, schema }];
}

function formsOf(context: Context, model: Model): NativeForms {
  const { kinds, parts } = context;
  const { input, output } = kindsOf(kinds, model);
  const form = input.describe(model);
  const top = scoresClasses(model.manifest.output) ? topSchema(model) : undefined;
  const parameters = {
    ...(top && { top: top.optional() }),
    deadlineMs: deadlineMsSchema.optional(),
    priority: prioritySchema.optional(),
  };
  const body = z.strictObject({ input: form.one, ...parameters });
  const [field] = form.mediaTypes;
  const isText = field?.startsWith('text/');
  const raw = isText ? toSchema(form.one) : binary;
  const multipart = multipartOf(isText ? { input: raw } : { file: raw }, parameters);
  return {
    codes: [...input.codes, ...output.form.codes],
    top: top && toSchema(top),
    predictions: output.form.predictions,
    content: {
      'application/json': {
        schema: {
          anyOf: [
            parts.schema(partName('ScoreRequest', model), body),
            listRequest(context, model, top),
          ],
        },
        example: { input: form.example },
      },
      ...Object.fromEntries(
        form.mediaTypes.map((type) => [
          type,
          {
            schema: raw,
            ...(form.rawExample !== undefined && { example: form.rawExample }),
          },
        ]),
      ),
      'application/x-ndjson': requestLines,
      ...(field !== undefined && { 'multipart/form-data': { schema: multipart } }),
    },
  };
}

/** A text is a field, and anything else is a file of any name. A form may have several of them, and parameters. */
function multipartOf(
  inputs: Readonly<Record<string, Schema>>,
  parameters: Readonly<Record<string, z.ZodType>>,
): Schema {
  const schemas = Object.entries(parameters).map(([name, type]) => [name, toSchema(type)]);
  const names = Object.keys(inputs);
  return {
    type: 'object',
    properties: { ...inputs, ...Object.fromEntries(schemas) },
    ...(names.length === 1 && { required: names }),
    additionalProperties: false,
  };
}

/** What requests for any model look like. */
function anyForms(context: Context): NativeForms {
  const { kinds, parts } = context;
  const top = z.int().min(1).describe('How many of the best classes to answer with.');
  const parameters = {
    top: top.optional(),
    deadlineMs: deadlineMsSchema.optional(),
    priority: prioritySchema.optional(),
  };
  const body = z.strictObject({
    input: z
      .unknown()
      .describe(
        'A text, {name: base64 of an image or another file}, {column: value}, or any JSON: what the model takes.',
      ),
    ...parameters,
  });
  return {
    codes: Object.values(kinds).flatMap(({ codes }) => codes),
    top: { type: 'integer', minimum: 1 },
    predictions: z
      .array(
        z.union([
          z.looseObject({ label: z.string(), score: z.number() }),
          z.object({ value: z.number() }),
          z.object({ embedding: z.array(z.number()) }),
          z.object({ json: z.unknown() }),
          z.object({
            name: z.string(),
            datatype: z.string(),
            shape: z.array(z.int()),
            data: z.array(z.unknown()),
          }),
        ]),
      )
      .describe(
        'The best classes, best first; a number; an embedding; JSON; or the outputs of the network.',
      ),
    content: {
      'application/json': {
        schema: {
          anyOf: [parts.schema('ScoreRequest', body), listRequest(context, undefined, top)],
        },
      },
      'application/x-ndjson': requestLines,
      ...Object.fromEntries(
        Object.values(kinds)
          .filter(({ mediaTypes }) => mediaTypes !== 'application/json')
          .map(({ mediaTypes }) => [mediaTypes, { schema: binary }]),
      ),
      'multipart/form-data': {
        schema: multipartOf({ input: { type: 'string' }, file: binary }, parameters),
      },
    },
  };
}

function responseOf(
  { catalogue }: Context,
  model: Model | undefined,
  predictions: z.ZodType,
): z.ZodObject {
  // Where versions share the requests, the answer may come from any of them.
  const isCertain = model && !catalogue.splits.has(model.name);
  return z.object({
    model: model ? z.literal(model.name) : z.string(),
    version: isCertain ? z.literal(model.version) : z.string(),
    id: z.string().describe('The id of the input.'),
    known: z
      .boolean()
      .optional()
      .describe('If false, the model knows nothing of the input. Only some models say this.'),
    predictions,
    ...furtherOf(model),
    timing: timingSchema,
  });
}

/** The further answers of a model, or of any. */
function furtherOf(model: Model | undefined): Record<string, z.ZodType> {
  if (!model) {
    const outputs = z.record(z.string(), z.array(z.looseObject({})));
    return {
      outputs: outputs.optional().describe('Further answers, by name. Only some models have them.'),
    };
  }
  if (model.heads.length === 0) return {};
  const heads = model.heads.map(({ name, output }) => [
    name,
    outputKinds[output.kind].form.predictions,
  ]);
  return { outputs: z.object(Object.fromEntries(heads)).describe('Its further answers.') };
}

const count = z.int().min(0);

const outputSchema = z.union([
  embeddingSchema,
  z.object({
    kind: z.enum(['ranking', 'classification']),
    classes: count,
    top: count.describe('How many classes an answer has at most, unless the request says so.'),
    activation: z.enum(['none', 'softmax', 'sigmoid']),
    threshold: z
      .union([z.number(), z.array(z.number())])
      .optional()
      .describe('The least score of a class that is answered: of any, or of each.'),
  }),
  z.object({ kind: z.enum(['regression', 'json', 'tensors']), tensor: z.string().optional() }),
]);

const modelsSchema = z.object({
  models: z.array(
    z.object({
      name: z.string(),
      version: z.string(),
      queue: z.string().describe('The name of its queue.'),
      traffic: z
        .object({
          latest: z.boolean().describe('Whether it is what requests without a version mean.'),
          share: z
            .number()
            .min(0)
            .max(1)
            .describe('Its share of the requests that name the model and no version.'),
          sticky: z
            .string()
            .optional()
            .describe('The header whose value decides which version a request gets.'),
          shadow: z
            .object({
              of: z.array(z.string()).describe('The versions whose requests are copied.'),
              percent: z.number().describe('How many of them.'),
              same: count,
              different: count,
              failed: count,
              left_out: count,
            })
            .optional()
            .describe('There if it gets copies of requests: how its answers compare.'),
        })
        .describe('Which requests it gets.'),
      description: z.string(),
      input: inputSchema.describe('What it takes, as its manifest says.'),
      output: outputSchema,
      outputs: z
        .record(z.string(), outputSchema)
        .optional()
        .describe('Its further answers, by name.'),
      network: networkSchema.optional().describe('The inputs and outputs of its network.'),
      examples: z
        .array(z.unknown())
        .describe('Inputs to try it with, in the form of its requests.'),
      batchMax: count.describe('The most inputs in a run.'),
      deadlineMs: z.number().describe('How long a request may take at most.'),
      workers: count.describe('The live workers.'),
      unanswered: count.nullable().describe('The inputs that wait for an answer; null if unknown.'),
      dropped: count.describe('Inputs whose deadline or caller was gone before they were scored.'),
      crashed: count.describe('Inputs that took their process down.'),
      unreadable: count.describe('Inputs that a worker could not read.'),
      fallbacks: count.describe('Starts of a worker on the fallback device.'),
    }),
  ),
  waiting: z
    .array(
      z.object({
        name: z.string(),
        version: z.string(),
        state: z.enum(['loading', 'failed', 'unloaded', 'draining']),
        code: z.string().optional().describe('The code of the reason, if it has failed.'),
        reason: z.string().optional().describe('The reason in words. The log says more.'),
      }),
    )
    .describe('Versions that get no requests, and why.'),
  leftOut: z
    .array(
      z.object({
        ...{ name: z.string(), version: z.string().optional(), code: z.string() },
        reason: z.string().optional().describe('The reason in words. The log says more.'),
      }),
    )
    .describe('Models that cannot be served, each with the code of the reason.'),
});

function listModels(context: Context): Operation {
  const { parts, problemsOf } = context;
  return {
    operationId: 'listModels',
    summary: 'List the models',
    description: 'The models that the caller may use, their live workers and their counts.',
    tags,
    responses: {
      ...context.answer('The models.', parts.schema('Models', modelsSchema)),
      ...problemsOf('models', 'problem', [...accessCodes(context), 'queue_unavailable']),
    },
  };
}
