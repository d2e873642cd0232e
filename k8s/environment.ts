// The environments of API and workers: what follows from the values and the models, then the settings that
// the values add.

import type { IEnvVar } from 'kubernetes-models/v1/EnvVar';
import { authoritiesEnvironment } from './authorities.js';
import { keysEnvironment } from './keys.js';
import type { Plan, PlannedModel } from './plan.js';
import { redisEnvironment } from './redis-place.js';
import { telemetryEnvironment } from './telemetry.js';
import type { Values } from './values.js';
import { variablesOf } from './variables.js';
import { webhookEnvironment } from './webhooks.js';

export const apiPort = 8080;
/** For the metrics, and for the probes of workers. */
export const sidePort = 8081;

/** Of IPv6 as well: a cluster may have nothing else. */
export const allAddresses = '::';

/** The port of gRPC, if the settings of the API name one. */
export function grpcPortOf({ api }: Values): number | undefined {
  const { GRPC_PORT } = api.settings;
  return GRPC_PORT ? Number(GRPC_PORT) : undefined;
}

/** How long a worker hands back jobs at the end, and how long a hung run is watched beyond `runMsMax`. */
const workerEndMs = 5000;
/** How long after the longest deadline the API still answers. */
const apiEndMs = 5000;
/** How long the addresses of an ending API may still be in use. */
const apiLeaveMs = 10_000;

/** Settings that follow from the values and the models. The values cannot set them. */
export const ownSettings: ReadonlySet<string> = new Set([
  'APPLICATIONINSIGHTS_CONNECTION_STRING',
  'HOST',
  'KEYS_FILE',
  'LEAVE_MS',
  'METRICS_PORT',
  'MODEL_CACHE_DIR',
  'MODELS',
  'MODELS_DIR',
  'OTEL_EXPORTER_OTLP_ENDPOINT',
  'OTEL_EXPORTER_OTLP_HEADERS',
  'OTEL_EXPORTER_OTLP_PROTOCOL',
  'OTEL_RESOURCE_ATTRIBUTES',
  'OTEL_TRACES_SAMPLER',
  'OTEL_TRACES_SAMPLER_ARG',
  'PORT',
  'PROBE_PORT',
  'QUEUE_PREFIX',
  'REDIS_CERT_FILE',
  'REDIS_KEY_FILE',
  'REDIS_PASSWORD',
  'REDIS_SENTINEL_PASSWORD',
  'REDIS_URL',
  'SCALE_FROM_ZERO',
  'SHUTDOWN_MS',
  'WEBHOOK_SECRETS',
]);

/** How long the longest request takes to be answered. */
function apiAnswerMs({ models }: Plan): number {
  return Math.max(...models.map(({ model }) => model.manifest.deadlineMs)) + apiEndMs;
}

export function apiShutdownMs(plan: Plan): number {
  return apiLeaveMs + apiAnswerMs(plan);
}

/** Long enough for the longest run of the model that does not count as hung. */
export function workerShutdownMs({ model }: PlannedModel): number {
  return model.manifest.runMsMax + workerEndMs;
}

/** The values may say another `scaling.min` than the manifest, which is all that the API sees. */
function queuesFromZero({ models }: Plan): readonly string[] {
  return models.filter(({ scaling }) => scaling.min === 0).map(({ model }) => model.queue);
}

export function apiEnvironment(plan: Plan): IEnvVar[] {
  const { values, models } = plan;
  return [
    // Queues instead of names: an image with other models would fill queues that KEDA does not look at.
    { name: 'MODELS', value: models.map(({ model }) => model.queue).join(',') },
    { name: 'SCALE_FROM_ZERO', value: queuesFromZero(plan).join(',') },
    { name: 'HOST', value: allAddresses },
    { name: 'PORT', value: `${apiPort}` },
    { name: 'METRICS_PORT', value: `${sidePort}` },
    { name: 'LEAVE_MS', value: `${apiLeaveMs}` },
    { name: 'SHUTDOWN_MS', value: `${apiShutdownMs(plan)}` },
    ...redisEnvironment(values),
    ...keysEnvironment(values),
    ...telemetryEnvironment(values, 'api'),
    ...webhookEnvironment(values),
    ...ofBoth(values),
    ...fromRecord(values.api.settings),
  ];
}

export function workerEnvironment({ values }: Plan, planned: PlannedModel): IEnvVar[] {
  return [
    { name: 'MODELS', value: planned.model.queue },
    { name: 'PROBE_PORT', value: `${sidePort}` },
    { name: 'SHUTDOWN_MS', value: `${workerShutdownMs(planned)}` },
    ...redisEnvironment(values),
    ...telemetryEnvironment(values, 'worker'),
    ...ofBoth(values),
    ...fromRecord(values.workers.settings),
  ];
}

function ofBoth(values: Values): IEnvVar[] {
  return [...authoritiesEnvironment(values), ...fromRecord(variablesOf(values))];
}

function fromRecord(variables: Readonly<Record<string, string>>): IEnvVar[] {
  return Object.entries(variables).map(([name, value]) => ({ name, value }));
}
