// Requests and answers of the Open Inference Protocol for one model, for the description of the service.
// `readInferRequest` accepts what the schema of requests does, if the data has as many elements as its shape
// says, which no schema can express.

import { z } from 'zod';
import type { DeclaredTensor, Network } from '../../shared/manifest/network.js';
import type { Model } from '../../shared/registry/models.js';
import { isOpen, openShape } from '../../shared/tensors/network.js';
import { countElements, type Datatype, datatypes } from '../../shared/tensors/tensors.js';
import { flatSchemas, nestedSchema } from './element-schema.js';
import { classesMax, requestSchema, sizeMax } from './infer-request.js';

export interface InferForms {
  readonly request: z.ZodType;
  readonly response: z.ZodType;
  /** A request of one row; undefined if its data would be long. */
  readonly example: unknown;
}

const parametersSchema = z
  .object({
    deadlineMs: z
      .number()
      .positive()
      .optional()
      .describe('How many milliseconds the caller waits.'),
    timeout: z.int().min(0).optional().describe('The same in microseconds; 0 is no limit.'),
    binary_data_output: z
      .boolean()
      .optional()
      .describe('Whether outputs are binary unless they say otherwise.'),
  })
  .describe('Others are ignored.');

/** Describes requests and answers of a model; undefined if its manifest does not declare the network. */
export function inferFormsOf(model: Model, rowsMax: number): InferForms | undefined {
  const { network } = model.manifest;
  if (!network) return undefined;
  const rows =
    model.manifest.batch.dimension === 'none'
      ? undefined
      : z.int().min(1).max(rowsMax).describe('The number of rows.');
  const inputs = network.inputs.map((declared) => inputOf(declared, rows));
  const request = requestSchema.extend({
    parameters: parametersSchema.optional(),
    inputs: z
      .array(z.union(inputs))
      .min(inputs.length)
      .max(inputs.length)
      .describe('Each input of the network once, in any order.'),
    outputs: z
      .array(z.union(network.outputs.map(wishOf)))
      .max(network.outputs.length)
      .optional()
      .describe('The outputs to answer with, each once. All, if there are none.'),
  });
  return { request, response: responseOf(model, network), example: exampleOf(model, network) };
}

/** What a request to any model looks like. */
export const anyInferForms: Pick<InferForms, 'request' | 'response'> = {
  request: requestSchema,
  response: z.object({
    model_name: z.string(),
    model_version: z.string(),
    id: z.string().optional(),
    outputs: z.array(
      z.object({
        name: z.string(),
        datatype: z.enum(datatypes),
        shape: z.array(z.int().min(0)),
        parameters: z.object({ binary_data_size: z.int().min(0) }).optional(),
        data: z.array(z.unknown()).optional(),
      }),
    ),
  }),
};

// A model may have many tensors, and making a schema takes as long as describing it. So tensors share theirs.
const anySchema = z.record(z.string(), z.unknown()).optional();
const openSize = z.int().min(0).max(sizeMax);
const shapeSchema = z.array(z.int().min(0));
const binarySchema = z.object({ binary_data_size: z.int().min(0) }).optional();

function inputOf({ name, datatype, shape }: DeclaredTensor, rows: z.ZodType | undefined) {
  const sizes = shape.map((size, at): z.ZodType => {
    if (!isOpen(size)) return z.literal(size);
    return (at === 0 && rows) || openSize;
  });
  return z.object({
    name: z.literal(name),
    datatype: z.literal(datatype),
    shape:
      sizes.length === 0
        ? z.array(z.number()).max(0)
        : z.tuple(sizes as [z.ZodType, ...z.ZodType[]]),
    data: dataSchema(datatype, shape.length),
    parameters: anySchema,
  });
}

function dataSchema(datatype: Datatype, depth: number): z.ZodType {
  const flat = flatSchemas[datatype];
  return depth === 1 ? flat : z.union([flat, nestedSchema(datatype, depth)]);
}

const wishSchema = wishWith(classesMax);
const wishWithoutClassesSchema = wishWith(0);

function wishOf({ name, datatype }: DeclaredTensor) {
  const hasClasses = datatype !== 'BYTES' && datatype !== 'BOOL';
  return z.object({
    name: z.literal(name),
    parameters: hasClasses ? wishSchema : wishWithoutClassesSchema,
  });
}

function wishWith(classes: number) {
  return z
    .object({
      binary_data: z.boolean().optional().describe('Whether the output is binary.'),
      classification: z
        .int()
        .min(0)
        .max(classes)
        .describe('Answers with this many of the best classes of each row; 0 for the numbers.')
        .optional(),
    })
    .optional();
}

function responseOf({ name, version }: Model, { outputs }: Network) {
  const tensors = outputs.map((output) =>
    z.object({
      name: z.literal(output.name),
      datatype: z
        .literal([...new Set([output.datatype, 'BYTES'])])
        .describe('BYTES if the classification of the output was asked for.'),
      shape: shapeSchema,
      data: z
        .union([...new Set([flatSchemas[output.datatype], flatSchemas.BYTES])])
        .optional()
        .describe('Missing if the output is binary.'),
      parameters: binarySchema,
    }),
  );
  return z.object({
    model_name: z.literal(name),
    model_version: z.literal(version),
    id: z.string().optional().describe('The id of the request.'),
    outputs: z.array(z.union(tensors)).min(1).max(outputs.length),
  });
}

function exampleOf({ manifest: { example } }: Model, { inputs }: Network): unknown {
  const given = example && 'inputs' in example ? example.inputs : [];
  const tensors = inputs.map((input) => {
    const { name, datatype } = input;
    const own = given.find((tensor) => tensor.name === name);
    if (own) return { name, datatype, shape: own.shape, data: [own.data].flat(Infinity) };
    const sizes = openShape(input).map((size) => (size < 0 ? 1 : size));
    const elements = Math.min(countElements(sizes), exampleElementsMax + 1);
    return { name, datatype, shape: sizes, data: Array(elements).fill(exampleElement(datatype)) };
  });
  return tensors.some(({ data }) => data.length > exampleElementsMax)
    ? undefined
    : { inputs: tensors };
}

const exampleElementsMax = 64;

function exampleElement(datatype: Datatype): unknown {
  if (datatype === 'BYTES') return 'How do I …?';
  return datatype === 'BOOL' ? true : 1;
}
