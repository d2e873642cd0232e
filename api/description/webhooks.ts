// What the service sends by itself when a job has ended, and the operations about that for operators.

import { z } from 'zod';
import type { ErrorCode } from '../../shared/errors.js';
import { accessCodes, type Context } from './context.js';
import { jobEventSchema, webhookSchema } from './job-schemas.js';
import type { Operation, Parameter, PathItem, Paths } from './openapi.js';
import { inPath } from './scoring.js';

export const webhooksTag = {
  name: 'Webhooks',
  description:
    'A job whose request had a `Webhook-Url` is sent to that address when it has ended, signed as Standard Webhooks says.',
};
const tags = [webhooksTag.name];

export function webhookPaths(context: Context): Paths {
  return {
    '/v1/webhooks': { get: listWebhooks(context) },
    '/v1/webhooks/{job}/redeliver': { post: redeliver(context) },
  };
}

/** Describes the request that a receiver gets. */
export function sentWebhooks({ parts }: Context): Readonly<Record<string, PathItem>> {
  return {
    jobEnded: {
      post: {
        operationId: 'jobEnded',
        summary: 'A job has ended',
        description:
          'Sent at least once, until the receiver answers with 2xx or 410. A repeat has the same `webhook-id`.',
        tags,
        parameters: signatureFields,
        requestBody: {
          required: true,
          content: { 'application/json': { schema: parts.schema('JobEvent', jobEventSchema) } },
        },
        responses: {
          200: { description: 'The receiver has it. Any 2xx says so.' },
          410: { description: 'The receiver wants no more attempts.' },
          503: { description: 'Any other status: it is sent again, not before `Retry-After`.' },
        },
        security: [],
      },
    },
  };
}

const signatureFields: readonly Parameter[] = [
  inHeader('webhook-id', 'The id of the message.', 'msg_0b5c6f0e-6c1e-4a3a-9d8e-3f1f5d1c2b7a'),
  inHeader('webhook-timestamp', 'When it was sent, in seconds since the epoch.', '1790000000'),
  inHeader(
    'webhook-signature',
    'Signatures separated by blanks: `v1,` and the HMAC-SHA-256, in base64, of `id.timestamp.body`.',
    'v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=',
  ),
];

function inHeader(name: string, description: string, example: string): Parameter {
  return { name, in: 'header', description, required: true, schema: { type: 'string' }, example };
}

const listSchema = z.object({
  hosts: z
    .array(
      z.object({
        host: z.string(),
        pending: z.int().min(0).describe('How many of its webhooks are not delivered yet.'),
        allowed: z
          .literal(false)
          .optional()
          .describe('False if the host is not allowed any more, so nothing is sent to it.'),
      }),
    )
    .describe('The allowed hosts, and former ones for which webhooks wait.'),
  dead: z
    .array(
      z.object({
        job: z.string(),
        caller: z.string().describe('The id of the caller whose job it is.'),
        diedAt: z.iso.datetime(),
        ...webhookSchema.shape,
      }),
    )
    .describe('The dead letters, the last one first.'),
});

function listWebhooks(context: Context): Operation {
  return {
    operationId: 'listWebhooks',
    summary: 'List the dead letters',
    description: 'The webhooks that could not be delivered and are not tried again. For operators.',
    tags,
    responses: {
      ...context.answer('The webhooks.', context.parts.schema('Webhooks', listSchema)),
      ...context.problemsOf('webhooks', 'problem', codesOf(context)),
    },
  };
}

const redeliverSchema = z.object({ job: z.string(), state: z.literal('waiting') });

function redeliver(context: Context): Operation {
  const { 200: answered } = context.answer(
    'It is tried again, with all its attempts.',
    context.parts.schema('Redelivery', redeliverSchema),
  );
  return {
    operationId: 'redeliverWebhook',
    summary: 'Send a dead letter again',
    description: 'For operators, when a receiver works again.',
    tags,
    parameters: [inPath('job', 'The id of the job, as in the list.', [])],
    responses: {
      202: answered,
      ...context.problemsOf('redelivery', 'problem', [
        ...codesOf(context),
        'webhook_not_found',
        'webhook_not_allowed',
      ]),
    },
  };
}

function codesOf(context: Context): readonly ErrorCode[] {
  return [...accessCodes(context), 'scope_missing', 'queue_unavailable'];
}
