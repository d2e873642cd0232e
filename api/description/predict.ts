// The operations of V1 of KServe and TensorFlow Serving.

import { z } from 'zod';
import type { ErrorCode } from '../../shared/errors.js';
import type { DeclaredTensor, Network } from '../../shared/manifest/network.js';
import type { Model } from '../../shared/registry/models.js';
import { nestedSchema } from '../inference/element-schema.js';
import { isOneInRow } from '../inference/predict-request.js';
import { servingStates } from '../inference/serving.js';
import { kindsOf } from '../kinds/kinds.js';
import type { Context } from './context.js';
import {
  describeData,
  isModelReady,
  metadataAnswers,
  modelReadySchema,
  serverTiming,
} from './inference.js';
import type { Operation, Parameter, Paths, Ref } from './openapi.js';
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

export const predictTag = {
  name: 'V1',
  description:
    'For clients of V1 of KServe and TensorFlow Serving, without changes to them: a value for each row.',
};

const tags = [predictTag.name];

export function predictPaths(context: Context): Paths {
  const { models, latest } = context.catalogue;
  const namesOfModels = (of: readonly Model[]) => of.map(({ name }) => name);
  const model = inPath('model', 'The name of the model.', namesOfModels(latest));
  const versions = models.map(({ version }) => version);
  const versioned = [
    inPath('model', 'The name of the model.', namesOfModels(models)),
    inPath('version', 'The version of the model.', versions),
  ];
  const status = context.parts.schema('ModelStatus', statusSchema);
  const stateOf = (operationId: string, parameters: readonly Parameter[]): Operation => ({
    ...isModelReady(context, operationId, parameters, status),
    description: 'In the words of KServe, and in those of TensorFlow Serving for each version.',
    tags,
  });
  const path = '/v1/models/{model}';
  const versionPath = `${path}/versions/{version}`;
  return {
    [path]: { get: stateOf('isModelReadyV1', [model]) },
    [versionPath]: { get: stateOf('isModelVersionReadyV1', versioned) },
    [`${path}/metadata`]: { get: describeSignature(context, 'signature', [model]) },
    [`${versionPath}/metadata`]: { get: describeSignature(context, 'versionSignature', versioned) },
    ...scoringPaths(context, ['/v1/models', ':predict'], (each) => predict(context, each)),
  };
}

const statusSchema = modelReadySchema.extend({
  model_version_status: z
    .array(
      z.object({
        version: z.string(),
        state: z.enum(servingStates),
        status: z.object({ error_code: z.string(), error_message: z.string() }),
      }),
    )
    .describe('The version that answers is the first.'),
});

const tensorsSchema = z.record(
  z.string(),
  z.object({
    dtype: z.string(),
    tensor_shape: z.object({
      dim: z.array(z.object({ size: z.string(), name: z.string() })),
      unknown_rank: z.boolean(),
    }),
    name: z.string(),
  }),
);
const signatureSchema = z.object({
  inputs: tensorsSchema,
  outputs: tensorsSchema,
  method_name: z.string(),
});
const signaturesSchema = z.object({
  model_spec: z.object({ name: z.string(), signature_name: z.string(), version: z.string() }),
  metadata: z.object({
    signature_def: z.object({
      signature_def: z.object({ serving_default: signatureSchema }),
    }),
  }),
});

function describeSignature(
  context: Context,
  operationId: string,
  parameters: readonly Parameter[],
): Operation {
  return {
    operationId,
    summary: 'Describe what a model predicts from what',
    description: 'As TensorFlow Serving describes it. -1 is a size that varies.',
    tags,
    parameters,
    responses: metadataAnswers(
      context,
      'The signature.',
      context.parts.schema('ModelSignature', signaturesSchema),
    ),
  };
}

function predict(context: Context, model: Model | undefined): OperationOf {
  const { parts, problemsOf } = context;
  describeData(parts, model);
  const { request, response, codes } = formsOf(context, model);
  const body = nameForms(context, model, 'Request', request);
  const answer = nameForms(context, model, 'Response', response);
  const all = [...scoringCodes(context), ...codes];
  const kind = model?.manifest.network ? 'tensors' : (model?.manifest.input.kind ?? 'any');
  return ({ suffix, parameters }) => ({
    operationId: `predict${suffix}`,
    summary: model ? `Predict with ${model.name}` : 'Predict',
    description:
      'The values of each row in, and those of its outputs out. With `inputs` in place of `instances`, both have a list for each input and output. Bytes may be `{"b64": "…"}`.',
    tags,
    parameters: [...parameters, ...scoringParameters(context)],
    requestBody: { required: true, content: { 'application/json': { schema: body } } },
    responses: {
      200: {
        description: 'A value for each row, in their order.',
        headers: { ...scoredHeaders(context), ...serverTiming(context) },
        content: { 'application/json': { schema: answer } },
      },
      ...accepted(context),
      ...problemsOf(`${kind}Predict`, 'inference', all),
    },
  });
}

/** Rows and columns have names of their own, since what openapi-python-client makes of others cannot be imported. */
function nameForms(
  { parts }: Context,
  model: Model | undefined,
  part: 'Request' | 'Response',
  form: Form,
): Ref {
  if (form instanceof z.ZodUnion) {
    const [rows, columns] = form.options;
    parts.schema(partName(`PredictRows${part}`, model), rows);
    parts.schema(partName(`PredictColumns${part}`, model), columns);
  }
  return parts.schema(partName(`Predict${part}`, model), form);
}

/** One form, or rows and columns. */
type Form = z.ZodObject | z.ZodUnion<readonly [z.ZodObject, z.ZodObject]>;

interface Forms {
  readonly request: Form;
  readonly response: Form;
  readonly codes: readonly ErrorCode[];
}

function formsOf(context: Context, model: Model | undefined): Forms {
  const { kinds, rowsMax } = context;
  if (!model) {
    const codes = Object.values(kinds).flatMap((kind) => kind.codes);
    return { ...formsWith(anyValue, anyValue), codes: [...tensorCodes, ...codes] };
  }
  const { manifest } = model;
  if (manifest.network) {
    const { network, predict, batch } = manifest;
    const hasRows = batch.dimension === 'first';
    return { ...formsOfNetwork(network, { predict, rowsMax, hasRows }), codes: tensorCodes };
  }
  const { input, output } = kindsOf(kinds, model);
  const { predictions, codes } = output.form;
  const instances = z.array(input.describe(model).one).min(1);
  return {
    request: z.object({ instances }),
    response: z.object({
      predictions: z.array(manifest.output.kind === 'json' ? anyValue : predictions),
    }),
    codes: [...input.codes, ...codes],
  };
}

const tensorCodes = ['tensor_invalid', 'inputs_refused', 'text_too_long'] as const;
const anyValue = z.unknown();

/** @param value of a row; those of `inputs` and `outputs` are lists of them, or of any form */
function formsWith(value: z.ZodType, answer: z.ZodType) {
  return {
    request: z.union([
      z.object({ instances: z.array(value).min(1) }),
      z.object({ inputs: anyValue }),
    ]),
    response: z.union([
      z.object({ predictions: z.array(answer) }),
      z.object({ outputs: anyValue }),
    ]),
  };
}

/** Describes requests to a network and their answers. The reader takes bytes in base64, too. */
export function formsOfNetwork(
  { inputs, outputs }: Network,
  {
    predict,
    rowsMax,
    hasRows,
  }: { predict?: string | undefined; rowsMax: number; hasRows: boolean },
): Pick<Forms, 'request' | 'response'> {
  const answered = outputs.filter(({ name }) => name === (predict ?? name));
  const answer = predict === undefined ? rowOf : rowIn;
  const columns = z.object({ outputs: named(answered, columnOf) });
  if (!hasRows)
    return { request: z.object({ inputs: eitherWay(inputs, columnOf) }), response: columns };
  const rows = z.array(eitherWay(inputs, rowIn)).min(1).max(rowsMax);
  const asked = eitherWay(inputs, (input) => z.array(rowIn(input)).min(1).max(rowsMax));
  return {
    request: z.union([z.object({ instances: rows }), z.object({ inputs: asked })]),
    response: z.union([z.object({ predictions: z.array(named(answered, answer)) }), columns]),
  };
}

type Describe = (tensor: DeclaredTensor) => z.ZodType;

/** A network with one input takes its values with and without the name. */
function eitherWay(tensors: readonly DeclaredTensor[], describe: Describe): z.ZodType {
  const byName = namesOf(tensors, describe);
  return tensors.length === 1 ? z.union([named(tensors, describe), byName]) : byName;
}

function named(tensors: readonly DeclaredTensor[], describe: Describe): z.ZodType {
  const [only, ...others] = tensors;
  return only && others.length === 0 ? describe(only) : namesOf(tensors, describe);
}

function namesOf(tensors: readonly DeclaredTensor[], describe: Describe): z.ZodType {
  return z.strictObject(
    Object.fromEntries(tensors.map((tensor) => [tensor.name, describe(tensor)])),
  );
}

/** The first of the dimensions counts rows. */
function rowOf({ datatype, shape }: DeclaredTensor): z.ZodType {
  return nestedSchema(datatype, Math.max(shape.length - 1, 0));
}

/** A row as it is asked, or answered where the manifest names the output. A single element may leave out lists around it. */
function rowIn(input: DeclaredTensor): z.ZodType {
  if (!isOneInRow(input)) return rowOf(input);
  return z.union(input.shape.map((_, depth) => nestedSchema(input.datatype, depth)));
}

function columnOf({ datatype, shape }: DeclaredTensor): z.ZodType {
  return nestedSchema(datatype, shape.length);
}
