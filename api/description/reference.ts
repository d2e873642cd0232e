// The operations of the reference contract, for clients of the architecture's first implementation.

import { z } from 'zod';
import type { Model } from '../../shared/registry/models.js';
import { deadlineMsSchema } from '../http/parameters/parameters.js';
import { prioritySchema } from '../http/parameters/priority.js';
import { kindsOf } from '../kinds/kinds.js';
import { accessCodes, type Context } from './context.js';
import type { Operation, Parameter, Paths, Response } from './openapi.js';
import { accepted, scoredHeaders, scoringCodes, scoringParameters } from './scoring.js';

export const referenceTag = {
  name: 'Reference',
  description:
    'For clients of the reference architecture “real-time scoring of Python scikit-learn and deep learning models on Azure”, without changes to them.',
};
const tags = [referenceTag.name];

export function referencePaths(context: Context): Paths {
  return {
    '/score': { post: scoreReference(context) },
    '/': {
      get: {
        operationId: 'isHealthy',
        summary: 'Whether the service answers, and the page for people',
        description:
          'Browsers, which ask for `text/html`, get a page on which people try the models. All others get `Healthy`.',
        tags,
        security: [],
        responses: {
          200: withPage(plainText(context, '`Healthy`, or the page.', 'Healthy')),
          ...context.problemsOf('open', 'problem', []),
        },
      },
    },
    '/version': {
      get: {
        operationId: 'version',
        summary: 'The version of the service',
        tags,
        responses: {
          200: plainText(context, 'The version.', '0.1.0'),
          ...context.problemsOf('version', 'problem', accessCodes(context)),
        },
      },
    },
  };
}

function withPage(response: Response): Response {
  const page = { 'text/html': { schema: { type: 'string' } } };
  return { ...response, content: { ...response.content, ...page } };
}

function scoreReference(context: Context): Operation {
  const { parts, problemsOf, kinds, catalogue } = context;
  const models = catalogue.latest.filter(({ manifest }) => manifest.input.kind !== 'tensors');
  const forms = models.map((model) => {
    const { input, output } = kindsOf(kinds, model);
    const { reference, codes } = output.form;
    return { ...input.describe(model), codes: [...input.codes, ...codes], reference };
  });
  const body = z.object({
    input: z
      .union(forms.map(({ several }) => several))
      .describe(
        'A text goes to the first model that takes texts, and pictures to the first that takes pictures. A row of a table goes to the model that `model` names.',
      ),
    deadlineMs: deadlineMsSchema.optional(),
    priority: prioritySchema.optional(),
  });
  const answer = z.object({
    result: z
      .array(z.union([...forms.map(({ reference }) => reference), z.string()]))
      .min(2)
      .describe('The entry of each input, and after them the time that it took, as text.'),
    known: z
      .literal(false)
      .optional()
      .describe('There if the model knows nothing of one of the inputs.'),
  });
  const [first] = forms;
  return {
    operationId: 'scoreReference',
    summary: 'Score a text, pictures, or a row of a table',
    tags,
    parameters: [modelParameter(models), ...scoringParameters(context)],
    requestBody: {
      required: true,
      content: {
        'application/json': {
          schema: parts.schema('ReferenceRequest', body),
          ...(first && { example: { input: first.example } }),
        },
      },
    },
    responses: {
      200: {
        description: 'What the model answers to each input.',
        headers: scoredHeaders(context),
        content: { 'application/json': { schema: parts.schema('ReferenceResponse', answer) } },
      },
      ...accepted(context),
      ...problemsOf('reference', 'problem', [
        ...scoringCodes(context),
        ...forms.flatMap(({ codes }) => codes),
      ]),
    },
  };
}

function modelParameter(models: readonly Model[]): Parameter {
  const names = [...new Set(models.map(({ name }) => name))];
  return {
    name: 'model',
    in: 'query',
    description: 'The model. Without it, the form of the input decides.',
    schema: names.length === 0 ? { type: 'string' } : { type: 'string', enum: names },
  };
}

function plainText({ headers }: Context, description: string, example: string): Response {
  const schema = { type: 'string' };
  return { description, headers, content: { 'text/plain': { schema, example } } };
}
