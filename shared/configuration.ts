// Configuration: one zod schema a role over the environment, parsed once, frozen. All faults are
// reported together. The text of each key says what raising or lowering it does; `.env.example`
// and docs/configuration.md are generated from here.

import { z } from 'zod';
import { ScorelineError } from './errors.js';

const common = {
  REDIS_URL: z
    .url({ protocol: /^rediss?$/ })
    .default('redis://127.0.0.1:6379')
    .describe(
      'The Redis (6.2 or later) that API and workers meet at. `rediss://` for TLS. `npm start` starts a private one when this is not set.',
    ),
  QUEUE_PREFIX: z
    .string()
    .regex(/^[^\s]+$/, 'expected a text without blanks')
    .default('scoreline')
    .describe(
      'The beginning of every key in Redis. Two services with different prefixes can share a Redis. On Redis Cluster it needs a hash tag: `{scoreline}`.',
    ),
  MODELS_DIR: z
    .string()
    .min(1)
    .default('models')
    .describe('The folder that holds one folder with a `model.yaml` for each model.'),
  MODELS: z
    .string()
    .optional()
    .transform(toNames)
    .describe(
      'The models to serve, by name, separated by commas. Unset: every model whose file is there. A named model whose file is missing stops the start of a worker.',
    ),
  LOG_LEVEL: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'silent'])
    .default('info')
    .describe(
      'How much is logged. `debug` adds a line for each batch, which costs throughput under load.',
    ),
};

const integer = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d+$/, 'expected a whole number')
    .transform(Number)
    .pipe(z.number().min(min).max(max));

const api = {
  ...common,
  HOST: z
    .string()
    .min(1)
    .default('127.0.0.1')
    .describe(
      'The address the API listens on. The default is reachable from this machine only; `0.0.0.0` opens it to the network, without authentication.',
    ),
  PORT: integer(0, 65535).default(8080).describe('The port of the API. 0 takes any free port.'),
  BODY_BYTES_MAX: integer(1024, 1_073_741_824)
    .default(16_777_216)
    .describe(
      'The largest request body. Raising it lets clients send larger images and costs memory for each request in flight; beyond it they get 413.',
    ),
  IMAGE_PIXELS_MAX: integer(1, 268_402_689)
    .default(50_000_000)
    .describe(
      'The largest image by width × height. Decoding takes 3 to 8 bytes of memory a pixel, so raising it lets one small file cost much memory.',
    ),
  IMAGES_PER_REQUEST_MAX: integer(1, 1024)
    .default(16)
    .describe('The most images in one `POST /score`. More are refused with 400.'),
  PERMITS_MAX: integer(1, 1_000_000)
    .default(1024)
    .describe(
      'The most inputs in flight in one API process. Where it serves several models, each may have at most as many as are left free, so a model without workers leaves room for the others. Lowering it refuses clients with 429 earlier instead of having them wait; raising it costs memory and lets requests wait longer.',
    ),
  BODIES_BYTES_MAX: integer(1024, 1_099_511_627_776)
    .default(268_435_456)
    .describe(
      'The most bytes of request bodies in one API process at a time, from their arrival until their inputs are prepared. Beyond it clients get 429. Raising it costs memory: plan for up to twice as much.',
    ),
  QUEUE_ITEMS_MAX: integer(1, 10_000_000)
    .default(10_000)
    .describe(
      'The most unanswered inputs of a model, from all API processes. Beyond it clients get 429. Raising it costs memory in Redis: 150 kB for a picture of 224 × 224.',
    ),
  RESULT_MS: integer(100, 86_400_000)
    .default(600_000)
    .describe(
      'How long the result of a request with an `Idempotency-Key` is kept for a repeat. Lowering it lets a late repeat cost model time again; raising it costs memory in Redis.',
    ),
  RESULTS_MAX: integer(1, 10_000_000)
    .default(100_000)
    .describe(
      'The most results that are kept in Redis at a time, for all API processes and models; each takes 0.6 kB for a few classes, 30 kB for a thousand. Beyond it requests with an `Idempotency-Key` get 429; those without one go on.',
    ),
  CONNECTIONS_MAX: integer(1, 1_000_000)
    .default(10_000)
    .describe(
      'The most open connections of one API process. Further ones are closed at once. Raising it costs memory and file descriptors.',
    ),
  HEADERS_MS_MAX: integer(100, 600_000)
    .default(10_000)
    .describe(
      'How long a client may take to send the headers of a request. Lowering it drops slow clients earlier.',
    ),
  REQUEST_MS_MAX: integer(100, 3_600_000)
    .default(60_000)
    .describe(
      'How long a client may take to send a whole request. Lowering it drops slow uploads with 408.',
    ),
  SHUTDOWN_MS: integer(0, 3_600_000)
    .default(35_000)
    .describe(
      'How long the API waits for requests in flight after SIGTERM. Lowering it below the longest deadline cuts requests off.',
    ),
};

const worker = {
  ...common,
  SHUTDOWN_MS: integer(0, 3_600_000)
    .default(25_000)
    .describe(
      'How long a worker finishes what it holds after SIGTERM. Keep it below the grace period of the platform (30 s on Kubernetes), or the work starts again elsewhere.',
    ),
};

const schemas = {
  api: z
    .object(api)
    .refine((given) => given.IMAGES_PER_REQUEST_MAX <= given.PERMITS_MAX, {
      path: ['IMAGES_PER_REQUEST_MAX'],
      message: 'expected at most PERMITS_MAX, or such a request never gets its permits',
    })
    .refine((given) => given.BODY_BYTES_MAX <= given.BODIES_BYTES_MAX, {
      path: ['BODY_BYTES_MAX'],
      message: 'expected at most BODIES_BYTES_MAX, or such a body never gets in',
    })
    .refine((given) => given.IMAGES_PER_REQUEST_MAX <= given.RESULTS_MAX, {
      path: ['RESULTS_MAX'],
      message:
        'expected at least IMAGES_PER_REQUEST_MAX, or such a request never fits with an Idempotency-Key',
    })
    .refine((given) => given.HEADERS_MS_MAX <= given.REQUEST_MS_MAX, {
      path: ['HEADERS_MS_MAX'],
      message: 'expected at most REQUEST_MS_MAX',
    }),
  worker: z.object(worker),
};

export type Role = keyof typeof schemas;
export type Configurations = { [R in Role]: Readonly<z.output<(typeof schemas)[R]>> };

/**
 * Parses the environment for a role.
 * @throws ScorelineError `configuration_invalid`, naming every wrong key with what came.
 */
export function readConfiguration<R extends Role>(
  role: R,
  environment: NodeJS.ProcessEnv,
): Configurations[R] {
  const given = Object.fromEntries(
    Object.keys(schemas[role].shape)
      .filter((key) => environment[key] !== undefined && environment[key] !== '')
      .map((key) => [key, environment[key]]),
  );
  const parsed = schemas[role].safeParse(given);
  if (parsed.success) return Object.freeze(parsed.data) as Configurations[R];
  const faults = parsed.error.issues.map((issue) => {
    const key = String(issue.path[0]);
    const came = given[key] === undefined ? 'the default' : JSON.stringify(given[key]);
    return `${key}: ${issue.message}; got ${key === 'REDIS_URL' ? '(not shown)' : came}`;
  });
  throw new ScorelineError('configuration_invalid', faults.join('\n'));
}

/** The configuration as it may be logged. */
export function redact(configuration: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return { ...configuration, REDIS_URL: redactUrl(String(configuration.REDIS_URL)) };
}

/** One row a key, for the generated pages. */
export function describeConfiguration(role: Role) {
  return Object.entries(schemas[role].shape).map(([key, schema]) => ({
    key,
    description: schema.description ?? '',
    default: schema.safeParse(undefined).data,
    common: key in common,
  }));
}

/** The address without user, password and options, each of which may be secret. */
function redactUrl(text: string): string {
  const { protocol, host, pathname } = new URL(text);
  return `${protocol}//${host}${pathname}`;
}

function toNames(list: string | undefined): readonly string[] | undefined {
  const names = list?.split(',').map((name) => name.trim());
  const unique = [...new Set(names?.filter((name) => name !== ''))];
  return unique.length > 0 ? Object.freeze(unique) : undefined;
}
