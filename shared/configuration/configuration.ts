// Configuration. Each role has one zod schema over the environment, which is parsed once and then
// frozen. All faults are reported together. Each key's description says what raising or lowering it
// does. `.env.example` and docs/configuration.md are generated from this file.

import { z } from 'zod';
import { ScorelineError } from '../errors.js';
import { readClientCertificate } from '../redis/tls.js';
import {
  defaultPrefix,
  findUrlFault,
  formOf,
  hasHashTag,
  isClusterUrl,
  isTlsUrl,
  type RedisSettings,
  redactUrl,
  redisUrlForms,
} from '../redis/url.js';
import { messageOf } from '../zod-issue.js';
import { accessShape, checkAccess } from './access.js';
import { findMisspelt, type Misspelt } from './misspelt.js';
import { requestTelemetryShape, telemetrySecrets, telemetryShape } from './telemetry.js';
import { integer, splitList } from './values.js';
import { checkWeb, webShape } from './web.js';
import { checkWebhooks, webhookShape } from './webhooks.js';

const common = {
  REDIS_URL: z
    .string()
    .superRefine((text, context) => {
      const fault = findUrlFault(text);
      if (fault) context.addIssue(`expected ${formOf(text)}; ${fault}`);
    })
    .default('redis://127.0.0.1:6379')
    .describe(
      `The Redis (6.2 or later) that API and workers share: ${redisUrlForms.map((form) => `\`${form}\``).join(', ')}. \`rediss\` instead of \`redis\` asks for TLS. For Sentinel and Cluster, name several servers: one that runs is enough. A socket is for a Redis on the same machine, and quicker than its port. If unset, \`npm start\` starts a private one.`,
    ),
  REDIS_PASSWORD: z
    .string()
    .optional()
    .describe(
      'The password of Redis, if it is not in `REDIS_URL`. It may hold any characters, so it can come from a secret store as it is.',
    ),
  REDIS_SENTINEL_PASSWORD: z
    .string()
    .optional()
    .describe(
      'The password of the Sentinels, if they have one. They are asked without a user name.',
    ),
  REDIS_CERT_FILE: z
    .string()
    .optional()
    .describe(
      'The file with the certificate by which Redis and its Sentinels know API and workers, in PEM, if they ask for one (`tls-auth-clients`, which is on unless Redis is told otherwise). It is read again for each connection. The authority of Redis itself belongs into `NODE_EXTRA_CA_CERTS`, if it is a private one.',
    ),
  REDIS_KEY_FILE: z
    .string()
    .optional()
    .describe('The file with the private key of `REDIS_CERT_FILE`, in PEM, without a password.'),
  QUEUE_PREFIX: z
    .string()
    .regex(/^[^\s]+$/, 'expected a text without blanks')
    .default(defaultPrefix(''))
    .describe(
      'The prefix of every key in Redis. Two services with different prefixes can share a Redis. In a cluster it has a hash tag, and the default is `{scoreline}`: all keys lie on one node.',
    ),
  MODELS_DIR: z
    .string()
    .min(1)
    .default('models')
    .describe('The folder of models. Each model is a subfolder with a `model.yaml`.'),
  MODELS: z
    .string()
    .optional()
    .transform(toNames)
    .describe(
      'The names of the models to serve, separated by commas. If unset, every model whose ONNX file exists is served. A model that cannot be served, for example because its manifest is wrong, is left out with a line in the log. The process stops if no model is left. Instead of a name, `name@version~digest` names the queue of a model, and a process refuses to start if its model has another.',
    ),
  MODELS_LOOK_MS: integer(50, 3_600_000)
    .default(1000)
    .describe(
      'How often the folder of models is looked at, for new and changed models and versions, and Redis for orders to load or unload one. Raising it makes changes take effect later.',
    ),
  LOG_LEVEL: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'silent'])
    .default('info')
    .describe(
      'The lowest level that is logged. `debug` adds a line for each batch, which costs throughput under load.',
    ),
  ...telemetryShape,
};

/** A day, which is the longest deadline, and what comes on top. */
const shutdownMsMax = 90_000_000;

const api = {
  ...common,
  HOST: z
    .string()
    .min(1)
    .default('127.0.0.1')
    .describe(
      'The address the API listens on. The default is reachable from this machine only. `::` opens the API to the network, and `0.0.0.0` to that of IPv4 only; then AUTH must say who gets in.',
    ),
  PORT: integer(0, 65535)
    .default(8080)
    .describe('The port the API listens on. 0 picks a free port.'),
  METRICS_PORT: integer(0, 65535)
    .optional()
    .describe(
      'The port of `/metrics`, for Prometheus, and of `/livez`, for a probe. It listens at `HOST`, and asks nobody for a key, so clients must not reach it. If unset, nothing is measured. 0 picks a free port.',
    ),
  GRPC_PORT: integer(0, 65535)
    .optional()
    .describe(
      'The port on which the API answers gRPC, without TLS, at the same address. If unset, there is no gRPC. 0 picks a free port.',
    ),
  ...accessShape,
  ...webShape,
  ...requestTelemetryShape,
  ...webhookShape,
  SCALE_FROM_ZERO: z
    .string()
    .optional()
    .transform((list) => (list === undefined ? undefined : (toNames(list) ?? [])))
    .describe(
      'The names or queues of the models that may have no workers until requests wait for them, separated by commas; empty for none. If unset, those whose manifests say `scaling.min: 0`. Requests to others are refused while a new version of theirs has no worker, and the API is ready once each of them has had one.',
    ),
  BODY_BYTES_MAX: integer(1024, 1_073_741_824)
    .default(16_777_216)
    .describe(
      'The largest request body, in bytes. Larger ones get 413. Raising it lets clients send larger images, and costs memory for each request in flight.',
    ),
  IMAGE_PIXELS_MAX: integer(1, 268_402_689)
    .default(50_000_000)
    .describe(
      'The most pixels of an image (width × height). Decoding takes up to 9 bytes of memory a pixel, and up to 25 for AVIF, so raising it lets a small file use much memory. All decoding together takes up to 0.6 of the memory of the container or the machine; where that is too little for so many pixels, the limit is lower.',
    ),
  INPUTS_PER_REQUEST_MAX: integer(1, 100_000)
    .default(256)
    .describe(
      'The most inputs in the list of one `POST /v1/models/{model}/score`, or in its form. Requests with more get 400; a stream of lines may have any number. Raising it costs memory: all of them are in it, and all answers.',
    ),
  INPUTS_IN_FLIGHT_MAX: integer(1, 100_000)
    .default(64)
    .describe(
      'The most inputs of one request with several, or of one stream, that are in flight at a time. Raising it lets one request keep more workers busy, and its inputs stand before those of others.',
    ),
  IMAGES_PER_REQUEST_MAX: integer(1, 1024)
    .default(16)
    .describe('The most images in one `POST /score`. Requests with more get 400.'),
  ROWS_PER_REQUEST_MAX: integer(1, 4096)
    .default(256)
    .describe(
      'The most rows in one request to `/v2/models/{model}/infer` or `/v1/models/{model}:predict`. Requests with more get 400. Each row is an input of its own, so no more than `PERMITS_MAX` and `RESULTS_MAX` are possible either.',
    ),
  TENSOR_JSON_BYTES_MAX: integer(1024, 1_073_741_824)
    .default(4_194_304)
    .describe(
      'The most bytes of JSON in one request to `/v2/models/{model}/infer` or `/v1/models/{model}:predict`. Requests with more get 413; the former can send binary tensors, up to `BODY_BYTES_MAX`. Raising it lets one request of numbers hold up all others for longer: 4 MiB take 0.03 to 0.3 s, and several times as long where other work has the cores.',
    ),
  UV_THREADPOOL_SIZE: integer(4, 1024)
    .default(4)
    .describe(
      'The number of threads that Node.js has for work outside its main thread, such as decoding images. The API decodes one image for each core at a time, and leaves at least one of these threads free. On machines of four cores and more, set it to the number of cores and two; otherwise cores stay idle while images are decoded. `npm start` and the container images do that themselves.',
    ),
  PERMITS_MAX: integer(1, 1_000_000)
    .default(1024)
    .describe(
      'The most inputs in flight in one API process. With several models, no model may hold more permits than are free, so a model without workers leaves room for the others. Lowering it refuses clients with 429 earlier instead of letting them wait. Raising it costs memory and lets requests wait longer.',
    ),
  BODIES_BYTES_MAX: integer(1024, 1_099_511_627_776)
    .default(268_435_456)
    .describe(
      'The most bytes of request bodies that one API process holds at a time, from arrival until their inputs are prepared. Beyond it, clients get 429. Raising it costs memory: plan for up to twice this number.',
    ),
  ANSWERS_BYTES_MAX: integer(1024, 1_099_511_627_776)
    .default(268_435_456)
    .describe(
      'The most bytes of answers that one API process holds for clients that have not taken them yet. Beyond it, the connections that have waited longest are closed. Raising it costs memory. Whoever takes nothing of an answer for `REQUEST_MS_MAX` loses the connection in any case. By gRPC, it is the stream of the answer that ends, and `REQUEST_MS_MAX` counts from when its connection last sent something.',
    ),
  QUEUE_ITEMS_MAX: integer(1, 10_000_000)
    .default(10_000)
    .describe(
      'The most unanswered inputs of a model, over all API processes. Beyond it, clients get 429. Jobs, and what other API processes have let in, are counted once a second, so a sudden burst of these may pass the limit. Raising it costs memory in Redis: 150 kB for an image of 224 × 224.',
    ),
  RESULT_MS: integer(100, 86_400_000)
    .default(600_000)
    .describe(
      'How long the result of a request with an `Idempotency-Key` is kept for repeats. Lowering it means that a late repeat is scored again. Raising it costs memory in Redis.',
    ),
  RESULTS_MAX: integer(1, 10_000_000)
    .default(100_000)
    .describe(
      'The most results kept in Redis at a time, over all API processes and models. Each takes 0.6 kB for a few classes, 30 kB for a thousand. Beyond it, requests with an `Idempotency-Key` and those that are to be answered later get 429; others are still served.',
    ),
  RESULTS_BYTES_MAX: integer(1024, 1_099_511_627_776)
    .default(1_073_741_824)
    .describe(
      'The most bytes of all the results kept in Redis. Beyond it, the same requests get 429 as beyond `RESULTS_MAX`. What was let in before is still kept, so plan for more memory: for the results of `QUEUE_ITEMS_MAX` inputs. Raising it costs memory in Redis.',
    ),
  JOB_RESULT_BYTES_MAX: integer(1024, 268_435_456)
    .default(1_048_576)
    .describe(
      'The most bytes of the result of one input that is answered later, as a job. Beyond it, the job fails with `result_too_large`. Raising it lets `RESULTS_MAX` results take more memory in Redis.',
    ),
  EVENT_STREAMS_MAX: integer(1, 1_000_000)
    .default(1000)
    .describe(
      'The most event streams of jobs that one API process has open. Beyond it, clients get 429. Raising it costs a connection for each, so keep it well below `CONNECTIONS_MAX`.',
    ),
  CONNECTIONS_MAX: integer(1, 1_000_000)
    .default(10_000)
    .describe(
      'The most open connections of one API process by HTTP, and as many by gRPC. Further connections are closed at once. Raising it costs memory and file descriptors.',
    ),
  HEADERS_MS_MAX: integer(100, 600_000)
    .default(10_000)
    .describe(
      'How long a client may take to send the headers of a request. Lowering it drops slow clients earlier.',
    ),
  REQUEST_MS_MAX: integer(100, 3_600_000)
    .default(60_000)
    .describe(
      'How long a client may take to send a whole request. Slower ones get 408. Lowering it drops slow uploads earlier.',
    ),
  SHUTDOWN_MS: integer(0, shutdownMsMax)
    .default(35_000)
    .describe(
      'How long the API waits for requests in flight after SIGTERM, `LEAVE_MS` included. If it is shorter than that and the longest deadline together, some requests are cut off.',
    ),
  LEAVE_MS: integer(0, 600_000)
    .default(0)
    .describe(
      'How long the API still takes requests after SIGTERM. It is not ready any more, and each answer asks its client to connect elsewhere. Set it where others learn late that an API ends, such as proxies that keep connections. With 0, a client may find its connection closed while it sends a request.',
    ),
};

const worker = {
  ...common,
  PROBE_PORT: integer(0, 65535)
    .optional()
    .describe(
      'The port of the health probes, `/startupz`, `/readyz` and `/livez`, and of `/metrics` for Prometheus. They listen on all addresses of the machine. If unset, there are no probes, and nothing is measured. 0 picks a free port.',
    ),
  MODEL_CACHE_DIR: z
    .string()
    .min(1)
    .optional()
    .describe(
      'The folder where a worker keeps the model files that it downloads: those of models named in `MODELS` whose file is missing and whose manifest has `source.urls`. Workers can share it. If unset, nothing is downloaded.',
    ),
  SHUTDOWN_MS: integer(0, shutdownMsMax)
    .default(25_000)
    .describe(
      'How long a worker may take to finish the jobs it holds after SIGTERM. Keep it below the grace period of the platform (30 s on Kubernetes); otherwise the worker is killed and its jobs start again elsewhere.',
    ),
};

/** Checks the keys about Redis that depend on each other. */
function checkRedis(given: z.output<z.ZodObject<typeof common>>, context: z.core.$RefinementCtx) {
  const fault = (key: string, message: string) =>
    context.addIssue({ code: 'custom', path: [key], message });
  const { REDIS_URL, QUEUE_PREFIX, REDIS_CERT_FILE, REDIS_KEY_FILE } = given;
  if (isClusterUrl(REDIS_URL) && !hasHashTag(QUEUE_PREFIX)) {
    fault(
      'QUEUE_PREFIX',
      'expected a hash tag in it, such as {scoreline}, because REDIS_URL names a cluster',
    );
  }
  if (REDIS_CERT_FILE !== undefined && REDIS_KEY_FILE === undefined) {
    fault('REDIS_KEY_FILE', 'expected the file of the private key, because of REDIS_CERT_FILE');
  }
  if (REDIS_KEY_FILE !== undefined && REDIS_CERT_FILE === undefined) {
    fault('REDIS_CERT_FILE', 'expected the file of the certificate, because of REDIS_KEY_FILE');
  }
  if (REDIS_CERT_FILE !== undefined && !isTlsUrl(REDIS_URL)) {
    fault('REDIS_CERT_FILE', 'expected rediss instead of redis in REDIS_URL with it');
  }
}

const schemas = {
  api: z
    .object(api)
    .superRefine(checkRedis)
    .refine((given) => given.IMAGES_PER_REQUEST_MAX <= given.PERMITS_MAX, {
      path: ['IMAGES_PER_REQUEST_MAX'],
      message: 'expected at most PERMITS_MAX, or the largest request never gets its permits',
    })
    .refine((given) => given.BODY_BYTES_MAX <= given.BODIES_BYTES_MAX, {
      path: ['BODY_BYTES_MAX'],
      message: 'expected at most BODIES_BYTES_MAX, or the largest body is never admitted',
    })
    .refine((given) => given.IMAGES_PER_REQUEST_MAX <= given.RESULTS_MAX, {
      path: ['RESULTS_MAX'],
      message:
        'expected at least IMAGES_PER_REQUEST_MAX, or the largest request with an Idempotency-Key is never admitted',
    })
    .refine(hasShareForLargest, {
      path: ['CALLER_RESULTS_PERCENT'],
      message:
        'expected a share of RESULTS_MAX of at least IMAGES_PER_REQUEST_MAX, or the largest request with an Idempotency-Key is never admitted',
    })
    .refine((given) => given.LEAVE_MS <= given.SHUTDOWN_MS, {
      path: ['LEAVE_MS'],
      message: 'expected at most SHUTDOWN_MS, which includes it',
    })
    .refine(({ PORT, GRPC_PORT }) => GRPC_PORT !== PORT || PORT === 0, {
      path: ['GRPC_PORT'],
      message: 'expected another port than PORT',
    })
    .refine(
      ({ PORT, GRPC_PORT, METRICS_PORT }) =>
        !METRICS_PORT || (METRICS_PORT !== PORT && METRICS_PORT !== GRPC_PORT),
      {
        path: ['METRICS_PORT'],
        message: 'expected another port than PORT and GRPC_PORT, which clients reach',
      },
    )
    .refine((given) => given.HEADERS_MS_MAX <= given.REQUEST_MS_MAX, {
      path: ['HEADERS_MS_MAX'],
      message: 'expected at most REQUEST_MS_MAX',
    })
    .superRefine(checkAccess)
    .superRefine(checkWeb)
    .superRefine(checkWebhooks),
  worker: z.object(worker).superRefine(checkRedis),
};

export type Role = keyof typeof schemas;
export type Configurations = { [R in Role]: Readonly<z.output<(typeof schemas)[R]>> };

/** The settings that limit how much is kept for one caller. */
type CallerLimits = Pick<
  z.output<z.ZodObject<typeof api>>,
  'AUTH' | 'CALLER_RESULTS_PERCENT' | 'RESULTS_MAX' | 'RESULTS_BYTES_MAX'
>;

/** Returns how many of the kept results one caller may have, and how many bytes of them. */
export function callerLimitsOf({
  AUTH = [],
  CALLER_RESULTS_PERCENT,
  RESULTS_MAX,
  RESULTS_BYTES_MAX,
}: CallerLimits): { resultsMax: number; bytesMax: number } {
  const share = AUTH.length === 0 ? 1 : CALLER_RESULTS_PERCENT / 100;
  return {
    resultsMax: Math.floor(RESULTS_MAX * share),
    bytesMax: Math.floor(RESULTS_BYTES_MAX * share),
  };
}

/** Whether a caller's share has room for the largest request, if the whole has. */
function hasShareForLargest(given: CallerLimits & { IMAGES_PER_REQUEST_MAX: number }): boolean {
  const largest = given.IMAGES_PER_REQUEST_MAX;
  return largest > given.RESULTS_MAX || largest <= callerLimitsOf(given).resultsMax;
}

/**
 * Parses the environment for a role.
 * @throws ScorelineError `configuration_invalid`, with every wrong key and its value
 */
export function readConfiguration<R extends Role>(
  role: R,
  environment: NodeJS.ProcessEnv,
): Configurations[R] {
  const given = settingsOf(role, environment);
  const parsed = schemas[role].safeParse(given);
  if (parsed.success) return Object.freeze(parsed.data) as Configurations[R];
  const faults = findFaults(role, environment).map(({ key, message }) => {
    const value = given[key];
    const got = value === undefined ? describeDefault(role, key) : describeValue(key, value);
    return `${key}: ${message}; got ${got}`;
  });
  throw new ScorelineError('configuration_invalid', faults.join('\n'));
}

const secrets: ReadonlySet<string> = new Set([
  ...['REDIS_PASSWORD', 'REDIS_SENTINEL_PASSWORD', 'WEBHOOK_SECRETS'],
  ...telemetrySecrets,
]);

const notShown = 'one that is not shown, since it may hold a secret';

function describeDefault(role: Role, key: string): string {
  const { shape } = schemas[role] as z.ZodObject;
  const value = shape[key]?.safeParse(undefined).data;
  const isNothing = value === undefined || (Array.isArray(value) && value.length === 0);
  return isNothing ? 'nothing' : `the default, ${JSON.stringify(value)}`;
}

function describeValue(key: string, value: string): string {
  return secrets.has(key) || mayHoldSecret(key, value) ? notShown : JSON.stringify(value);
}

/** Whether a value is an address with a user or a query. */
function mayHoldSecret(key: string, value: unknown): boolean {
  return /^(REDIS_URL|OIDC_ISSUER|.*_ENDPOINT)$/.test(key) && /[@?]/.test(String(value));
}

/** Returns what is wrong with the settings of a role, in an environment or elsewhere. */
export function findFaults(
  role: Role,
  environment: NodeJS.ProcessEnv,
): { key: string; message: string }[] {
  const given = settingsOf(role, environment);
  // Settings can be compared only once all of them can be read.
  const single = z.object(schemas[role].shape).safeParse(given);
  const issues = (single.error ?? schemas[role].safeParse(given).error)?.issues ?? [];
  return issues.map((issue) => ({ key: String(issue.path[0]), message: messageOf(issue) }));
}

/** Returns the names in an environment that are almost those of settings of any role. */
export function findMisspeltSettings(environment: NodeJS.ProcessEnv): Misspelt[] {
  const all = Object.values(schemas).flatMap(({ shape }) => Object.keys(shape));
  return findMisspelt(new Set(all), environment);
}

/** Settings whose empty text says something. */
const emptyCounts: ReadonlySet<string> = new Set(['SCALE_FROM_ZERO']);

/** An empty setting counts as unset, with few exceptions. */
function settingsOf(role: Role, environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const given = Object.fromEntries(
    Object.keys(schemas[role].shape)
      .filter((key) => environment[key] !== undefined)
      .filter((key) => environment[key] !== '' || emptyCounts.has(key))
      .map((key) => [key, environment[key]]),
  );
  given.QUEUE_PREFIX ??= defaultPrefix(given.REDIS_URL ?? '');
  return given;
}

/** Returns the configuration without secrets, for the log. */
export function redact(configuration: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const shown = Object.entries(configuration)
    .filter(([key]) => !secrets.has(key))
    .map(([key, value]) => [key, mayHoldSecret(key, value) ? notShown : value]);
  return { ...Object.fromEntries(shown), REDIS_URL: redactUrl(String(configuration.REDIS_URL)) };
}

/**
 * Returns what a configuration says about Redis.
 * @throws ScorelineError `configuration_invalid` if our certificate cannot be read
 */
export function redisSettings(configuration: Configurations[Role]): RedisSettings {
  const { REDIS_CERT_FILE: certFile, REDIS_KEY_FILE: keyFile } = configuration;
  return {
    url: configuration.REDIS_URL,
    password: configuration.REDIS_PASSWORD,
    sentinelPassword: configuration.REDIS_SENTINEL_PASSWORD,
    prefix: configuration.QUEUE_PREFIX,
    ...(certFile !== undefined &&
      keyFile !== undefined && { certificate: readClientCertificate({ certFile, keyFile }) }),
  };
}

/** Returns one row for each key of a role, for the generated pages. */
export function describeConfiguration(role: Role) {
  return Object.entries(schemas[role].shape).map(([key, schema]) => ({
    key,
    description: schema.description ?? '',
    default: schema.safeParse(undefined).data,
    common: key in common,
  }));
}

/** No names at all are as good as no list. */
function toNames(list = ''): readonly string[] | undefined {
  const names = splitList(list);
  return names.length > 0 ? Object.freeze(names) : undefined;
}
