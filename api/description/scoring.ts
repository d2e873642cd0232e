// What all operations that score have in common.

import { z } from 'zod';
import type { ErrorCode } from '../../shared/errors.js';
import type { Model } from '../../shared/registry/models.js';
import { deadlineMsSchema, requestTimeoutSchema } from '../http/parameters/parameters.js';
import { waitSecondsMax } from '../http/parameters/preferences.js';
import { prioritySchema } from '../http/parameters/priority.js';
import { accessCodes, type Context, retryAfterHeader } from './context.js';
import { jobSummarySchema } from './job-schemas.js';
import type { Operation, Parameter, Paths, Ref, Response } from './openapi.js';
import { toSchema } from './parts.js';

/** The errors of every operation that scores. */
export function scoringCodes(context: Context): readonly ErrorCode[] {
  return [
    ...accessCodes(context),
    ...(['model_not_found', 'model_load_failed', 'deadline_invalid'] as const),
    ...(['body_too_large', 'unsupported_media_type', 'invalid_json'] as const),
    ...(['input_missing', 'input_invalid'] as const),
    ...(['too_many_inputs', 'idempotency_key_invalid', 'idempotency_key_reused'] as const),
    ...(['overloaded', 'queue_unavailable', 'queue_lost', 'shutting_down'] as const),
    ...(['deadline_exceeded', 'model_crashed', 'model_failed', 'model_output_mismatch'] as const),
    ...(['webhook_invalid', 'webhook_not_allowed'] as const),
    ...([
      'parameter_invalid',
      'preference_invalid',
      'job_cancelled',
      'result_too_large',
      'wire_mismatch',
    ] as const),
  ];
}

const { description: deadlineText, ...deadlineSchema } = toSchema(deadlineMsSchema);
const timeoutSchema = toSchema(requestTimeoutSchema);
const { description: priorityText, ...urgencySchema } = toSchema(prioritySchema);

export function scoringParameters({ parts, configuration }: Context): readonly Ref[] {
  const takesWebhooks = configuration.WEBHOOK_HOSTS.length > 0;
  return [
    parts.parameter('DeadlineMs', {
      name: 'deadlineMs',
      in: 'query',
      description: String(deadlineText),
      schema: deadlineSchema,
    }),
    parts.parameter('RequestTimeout', {
      name: 'Request-Timeout',
      in: 'header',
      description: 'How many seconds the caller waits. The earliest deadline counts.',
      schema: timeoutSchema,
    }),
    parts.parameter('Priority', {
      name: 'priority',
      in: 'query',
      description: String(priorityText),
      schema: urgencySchema,
    }),
    parts.parameter('XPriority', {
      name: 'X-Priority',
      in: 'header',
      description: 'What the parameter `priority` says.',
      schema: urgencySchema,
    }),
    parts.parameter('CacheControl', {
      name: 'Cache-Control',
      in: 'header',
      description:
        '`no-cache` or `no-store`: score the input even if its answer is in the cache of the model. `max-age=N`: take no answer that is older than N seconds.',
      schema: { type: 'string' },
      example: 'no-cache',
    }),
    parts.parameter('IdempotencyKey', {
      name: 'Idempotency-Key',
      in: 'header',
      description:
        'A name for the request, such as a UUID. A repeat with the same key gets the result of the first one.',
      schema: { type: 'string', pattern: '^[!#-~]([ -~]{0,253}[!#-~])?$' },
      example: '8e03978e-40d5-43e8-bc93-6894a57f9324',
    }),
    preferParameter({ parts }),
    parts.parameter('Async', {
      name: 'async',
      in: 'query',
      description: 'What `Prefer: respond-async` says, for clients that cannot set headers.',
      schema: { type: 'string', enum: ['true', 'false', '1', '0', ''] },
    }),
    ...(takesWebhooks ? [webhookParameter({ parts })] : []),
    requestIdParameter({ parts }),
    traceParameter({ parts }),
  ];
}

export function preferParameter({ parts }: Pick<Context, 'parts'>): Ref {
  return parts.parameter('Prefer', {
    name: 'Prefer',
    in: 'header',
    description: `\`respond-async\`: answer with a job at once. \`wait=N\`: answer with a job if the answer takes more than N seconds, at most ${waitSecondsMax}.`,
    // Preferences for something else may be there, too.
    schema: { type: 'string' },
    example: 'respond-async',
  });
}

function webhookParameter({ parts }: Pick<Context, 'parts'>): Ref {
  return parts.parameter('WebhookUrl', {
    name: 'Webhook-Url',
    in: 'header',
    description:
      'With `Prefer` or `async`: the address to which the ended job is sent. The operator allows its host.',
    schema: { type: 'string', maxLength: 2048 },
    example: 'https://hooks.example.com/scored',
  });
}

function requestIdParameter({ parts }: Pick<Context, 'parts'>): Ref {
  return parts.parameter('RequestId', {
    name: 'X-Request-Id',
    in: 'header',
    description:
      'An id for the request, of up to 128 letters, digits and `_.:/+=@-`. The service replaces any other.',
    schema: { type: 'string' },
  });
}

function traceParameter({ parts }: Pick<Context, 'parts'>): Ref {
  return parts.parameter('TraceParent', {
    name: 'traceparent',
    in: 'header',
    description:
      'The trace that the request belongs to (W3C Trace Context). The service goes on with it if it sends traces, and ignores any other text.',
    schema: { type: 'string' },
    example: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  });
}

/** The headers of an answer that was scored. */
export function scoredHeaders({ parts, headers }: Context): Readonly<Record<string, Ref>> {
  const replayed = parts.header('IdempotencyReplayed', {
    description: 'Whether this is the result of an earlier request with the same key.',
    schema: { type: 'string', enum: ['true'] },
  });
  return {
    ...headers,
    Age: parts.header('Age', {
      description: 'How many seconds ago a cached answer was scored.',
      schema: { type: 'string', pattern: '^\\d+$' },
    }),
    'Cache-Status': parts.header('CacheStatus', {
      description:
        'How the response cache has served the request, if its model has one (RFC 9211).',
      schema: { type: 'string' },
    }),
    'Idempotency-Replayed': replayed,
    'Preference-Applied': appliedHeader({ parts }),
  };
}

export function appliedHeader({ parts }: Pick<Context, 'parts'>): Ref {
  return parts.header('PreferenceApplied', {
    description: 'What was followed of `Prefer`.',
    schema: { type: 'string' },
  });
}

/** The answer to a request that is answered later. */
export function accepted(context: Context): { 202: Response } {
  const { parts, headers } = context;
  const location = parts.header('Location', {
    description: 'The address of the job.',
    schema: { type: 'string' },
  });
  return {
    202: {
      description: 'The answer comes later: the request is a job now.',
      headers: {
        ...headers,
        Location: location,
        'Retry-After': retryAfterHeader(context),
        'Preference-Applied': appliedHeader(context),
      },
      content: { 'application/json': { schema: parts.schema('JobSummary', jobSummarySchema) } },
    },
  };
}

export function inPath(name: string, description: string, values: readonly string[]): Parameter {
  const unique = [...new Set(values)];
  const schema = unique.length === 0 ? { type: 'string' } : { type: 'string', enum: unique };
  return { name, in: 'path', description, required: true, schema };
}

/** An address at which something is scored. */
interface ScoringAddress {
  readonly path: string;
  /** Ends the names of operations. It is unique, since `inName` tells names and versions of models apart. */
  readonly suffix: string;
  readonly parameters: readonly Parameter[];
}

/** Describes what is scored at an address. */
export type OperationOf = (address: ScoringAddress) => Operation;

/**
 * Returns the operations that score, for each model with its version, and without one if requests may name none. A
 * caller for whom no models exist gets addresses with placeholders.
 * @param describe is called once for each model, because describing its forms takes long; for undefined if
 * there are placeholders. It returns undefined if the model is not scored there.
 */
export function scoringPaths(
  { catalogue: { models, latest } }: Context,
  [prefix, end]: readonly [prefix: string, end: string],
  describe: (model: Model | undefined) => OperationOf | undefined,
): Paths {
  const entries = (model: Model | undefined, addresses: readonly ScoringAddress[]) => {
    const operationOf = describe(model);
    if (!operationOf) return [];
    return addresses.map((address) => [
      `${prefix}${address.path}${end}`,
      { post: operationOf(address) },
    ]);
  };
  if (models.length === 0) return Object.fromEntries(entries(undefined, placeholders));
  return Object.fromEntries(
    models.flatMap((model) => {
      const { name, version } = model;
      const unversioned = { path: `/${name}`, suffix: `_${inName(name)}`, parameters: [] };
      const versioned = {
        path: `/${name}/versions/${version}`,
        suffix: `_${inName(name)}_${version}`,
        parameters: [],
      };
      return entries(model, latest.includes(model) ? [unversioned, versioned] : [versioned]);
    }),
  );
}

const named = inPath('model', 'The name of the model.', []);
const placeholders: readonly ScoringAddress[] = [
  { path: '/{model}', suffix: '', parameters: [named] },
  {
    path: '/{model}/versions/{version}',
    suffix: '_version',
    parameters: [named, inPath('version', 'The version of the model.', [])],
  },
];

/** Ends the names of the parts of a model. */
export function partName(part: string, model: Model | undefined): string {
  return model ? `${part}_${inName(model.name)}_${model.version}` : part;
}

/** Doubles each `_` of a model's name, so a single one begins its version. */
function inName(name: string): string {
  return name.replaceAll('_', '__');
}

export const timingSchema = z
  .object({
    queueMs: z.number().describe('How long the input waited in the queue.'),
    batchMs: z.number().describe('How long it waited for its batch.'),
    computeMs: z.number().describe('How long the run of the model took.'),
    batchSize: z.int().describe('How many inputs the run had.'),
  })
  .describe('Where the time went.');
