// The forms of requests with several inputs, and of their answers.

import { z } from 'zod';
import type { Model } from '../../shared/registry/models.js';
import { deadlineMsSchema } from '../http/parameters/parameters.js';
import { prioritySchema } from '../http/parameters/priority.js';
import type { Context } from './context.js';
import type { MediaType, Ref } from './openapi.js';
import { partName } from './scoring.js';

/** A list of inputs as the body of a request. An input of another form fails alone, so the schema takes any. */
export function listRequest(
  { parts, configuration }: Pick<Context, 'parts' | 'configuration'>,
  model: Model | undefined,
  top: z.ZodType | undefined,
): Ref {
  const body = z.strictObject({
    inputs: z
      .array(z.unknown())
      .min(1)
      .max(configuration.INPUTS_PER_REQUEST_MAX)
      .describe('Inputs, each as `input` takes it. One that is wrong fails alone.'),
    ...(top && { top: top.optional() }),
    deadlineMs: deadlineMsSchema.optional(),
    priority: prioritySchema.optional(),
  });
  return parts.schema(partName('ScoreListRequest', model), body);
}

/** Lines as the body of a request, or of an answer. */
export function lines(description: string): MediaType {
  return { schema: { type: 'string', description } };
}

export const requestLines = lines(
  'A JSON object in each line, as the body of a request with one input, and if you like an `id` that its answer will have. Any number of lines.',
);

export const answerLines = lines(
  'For each input a JSON object in a line, in the order of finishing, as in the `results` of an answer in JSON. A last line with `nextIndex` and `problem` says that the inputs from that index on were not read.',
);

/** @param answer what a request with one input is answered with */
export function listResponse(
  { parts }: Pick<Context, 'parts'>,
  model: Model | undefined,
  answer: z.ZodObject,
): Ref {
  const index = z.int().min(0).describe('The place of the input, from 0.');
  const id = z.union([z.string(), z.int()]);
  const scored = answer.extend({
    index,
    id: id.describe('What the client calls the input, or else the id that the service gave it.'),
    replayed: z
      .boolean()
      .optional()
      .describe('Whether this is the result of an earlier request with the same key.'),
  });
  const failed = z.object({
    index,
    id: id.optional(),
    problem: z
      .looseObject({ status: z.int(), code: z.string(), detail: z.string() })
      .describe('The error that a request with this input alone would have got.'),
  });
  const body = z.object({
    failed: z.int().min(0).describe('How many inputs have failed.'),
    results: z.array(z.union([scored, failed])).describe('In the order of the inputs.'),
  });
  return parts.schema(partName('ScoreListResponse', model), body);
}
