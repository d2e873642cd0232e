// Every metric that API and workers export: name, type, unit, labels, and what it means. The
// instruments are made from this table (instruments.ts), and docs/metrics.md is generated from it.
//
// Units are in the names. The values of labels come from the manifests and from tables of ours, never
// from a request, so the number of series is bounded. Counters and histograms are 0 before their first
// use. A gauge whose value is unknown has no series.

import { type ErrorCode, errorTable } from '../errors.js';

export interface MetricRow {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly unit: string;
  readonly roles: readonly ('api' | 'worker')[];
  readonly labels: readonly string[];
  /** The upper bounds of a histogram. */
  readonly buckets?: readonly number[];
  readonly meaning: string;
}

/** A model that runs in 1 ms and a deadline of a minute both find their place. */
export const latencyBuckets = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
] as const;
const roundTrips = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1,
] as const;
const batchSizes = [1, 2, 4, 8, 16, 32, 64, 128, 256] as const;

const api = ['api'] as const;
const worker = ['worker'] as const;
const both = ['api', 'worker'] as const;
const model = ['model', 'version'] as const;

/** The routes of requests that are to be scored. */
export const scoringRoutes: readonly string[] = [
  'native',
  'reference',
  'inference',
  'predict',
  'grpc',
];

export const metricTable = {
  requests: {
    name: 'scoreline_requests_total',
    type: 'counter',
    unit: 'requests',
    roles: api,
    labels: ['route', ...model, 'code'],
    meaning:
      'Answered requests. `route` is `native`, `reference`, `inference`, `predict` or `grpc` for those that score, `health`, or `other`. `code` is `ok`, or a code of docs/errors.md; `not_ready` is that of a readiness probe. `model` is empty if the request names none that is here; one that cannot be served has no `version`. A request with several inputs counts once, as `ok` if it could be read.',
  },
  requestSeconds: {
    name: 'scoreline_request_duration_seconds',
    type: 'histogram',
    unit: 'seconds',
    roles: api,
    labels: model,
    buckets: latencyBuckets,
    meaning:
      'From the arrival of a request that scores until its answer is sent. Streams of lines are left out: they last as long as their clients send.',
  },
  preparationSeconds: {
    name: 'scoreline_preparation_duration_seconds',
    type: 'histogram',
    unit: 'seconds',
    roles: api,
    labels: model,
    buckets: latencyBuckets,
    meaning:
      'How long the inputs of a request took to prepare: normalising texts, decoding images and the wait for it. Tensors need none.',
  },
  refusals: {
    name: 'scoreline_refusals_total',
    type: 'counter',
    unit: 'requests',
    roles: api,
    labels: [...model, 'reason'],
    meaning:
      'Requests answered with 429 or 503, by reason (see below). They are also in `scoreline_requests_total`.',
  },
  cacheRequests: {
    name: 'scoreline_cache_requests_total',
    type: 'counter',
    unit: 'requests',
    roles: api,
    labels: [...model, 'outcome'],
    meaning:
      'Requests to a model with a response cache, by how it has served them: `hit`; `miss`; `collapsed`, which waited for an equal request in flight; `bypass`, which wanted no cached answer.',
  },
  shadowAnswers: {
    name: 'scoreline_shadow_answers_total',
    type: 'counter',
    unit: 'answers',
    roles: api,
    labels: [...model, 'outcome'],
    meaning:
      'Copies of inputs for a shadow version, by how its answer compares with the one that was sent: `same`, `different`, `failed`, or `left_out`, because too many copies were in flight or one has ended a worker in the last minute.',
  },
  requestsInFlight: {
    name: 'scoreline_requests_in_flight',
    type: 'gauge',
    unit: 'requests',
    roles: api,
    labels: [],
    meaning: 'Requests that score and are not answered yet.',
  },
  inputsInFlight: {
    name: 'scoreline_inputs_in_flight',
    type: 'gauge',
    unit: 'inputs',
    roles: api,
    labels: model,
    meaning: 'Inputs of those requests. Each holds one of the permits.',
  },
  permitsMax: {
    name: 'scoreline_permits_max',
    type: 'gauge',
    unit: 'inputs',
    roles: api,
    labels: [],
    meaning: '`PERMITS_MAX`: the most inputs in flight.',
  },
  bodyBytes: {
    name: 'scoreline_request_body_bytes',
    type: 'gauge',
    unit: 'bytes',
    roles: api,
    labels: [],
    meaning: 'Bytes of request bodies in memory, of which `BODIES_BYTES_MAX` allows so many.',
  },
  answerBytes: {
    name: 'scoreline_untaken_answer_bytes',
    type: 'gauge',
    unit: 'bytes',
    roles: api,
    labels: [],
    meaning:
      'Bytes of answers in memory that their clients have not taken yet, of which `ANSWERS_BYTES_MAX` allows so many.',
  },
  eventStreams: {
    name: 'scoreline_event_streams',
    type: 'gauge',
    unit: 'streams',
    roles: api,
    labels: [],
    meaning: 'Event streams of jobs that are open, of which `EVENT_STREAMS_MAX` allows so many.',
  },
  oldestSeconds: {
    name: 'scoreline_oldest_request_age_seconds',
    type: 'gauge',
    unit: 'seconds',
    roles: api,
    labels: model,
    meaning:
      'How long the oldest unanswered interactive request of this instance has waited; 0 if none waits. Of a stream of lines, each input counts.',
  },
  deadlineSeconds: {
    name: 'scoreline_deadline_seconds',
    type: 'gauge',
    unit: 'seconds',
    roles: api,
    labels: model,
    meaning: 'The longest time that a request may take, from the manifest of the model.',
  },
  unanswered: {
    name: 'scoreline_unanswered_items',
    type: 'gauge',
    unit: 'rows',
    roles: api,
    labels: model,
    meaning:
      'Rows of inputs in the queue of a model without an answer, from all API instances: do not add them up. Absent while Redis is away. KEDA scales on the same number.',
  },
  workers: {
    name: 'scoreline_workers',
    type: 'gauge',
    unit: 'workers',
    roles: api,
    labels: model,
    meaning:
      'Live workers of a model, as Redis lists them: every API instance says the same. Absent while Redis is away.',
  },
  drainSeconds: {
    name: 'scoreline_drain_seconds',
    type: 'gauge',
    unit: 'seconds',
    roles: api,
    labels: model,
    meaning:
      'How long the workers need for all interactive inputs in flight, at the rate of the last seconds. Absent until the rate is known.',
  },
  decoding: {
    name: 'scoreline_image_decodes',
    type: 'gauge',
    unit: 'images',
    roles: api,
    labels: ['state'],
    meaning: 'Images that are decoded now (`state="running"`) or wait for that (`waiting`).',
  },
  decodingMax: {
    name: 'scoreline_image_decodes_max',
    type: 'gauge',
    unit: 'images',
    roles: api,
    labels: [],
    meaning: 'How many images are decoded at a time.',
  },
  workerState: {
    name: 'scoreline_worker_state',
    type: 'gauge',
    unit: 'boolean',
    roles: worker,
    labels: ['state'],
    meaning: '1 for the state that the worker is in, 0 for the others.',
  },
  modelInfo: {
    name: 'scoreline_model_info',
    type: 'gauge',
    unit: 'boolean',
    roles: worker,
    labels: [...model, 'device'],
    meaning: '1 for each model that is loaded, with its version and the device that it runs on.',
  },
  modelLoadSeconds: {
    name: 'scoreline_model_load_seconds',
    type: 'gauge',
    unit: 'seconds',
    roles: worker,
    labels: model,
    meaning: 'How long the model took to load, without warm-up. Absent until it is loaded.',
  },
  heldSeconds: {
    name: 'scoreline_held_job_age_seconds',
    type: 'gauge',
    unit: 'seconds',
    roles: worker,
    labels: model,
    meaning: 'How long the worker has held its oldest job; 0 if it holds none.',
  },
  items: {
    name: 'scoreline_items_total',
    type: 'counter',
    unit: 'items',
    roles: worker,
    labels: [...model, 'code'],
    meaning:
      'Answered items. `code` is `ok`, or a code of docs/errors.md. `model_crashed` is the end of an item in quarantine.',
  },
  queueSeconds: {
    name: 'scoreline_queue_wait_seconds',
    type: 'histogram',
    unit: 'seconds',
    roles: worker,
    labels: model,
    buckets: latencyBuckets,
    meaning: 'From the submission of an item to the queue until a worker took it.',
  },
  batchSeconds: {
    name: 'scoreline_batch_wait_seconds',
    type: 'histogram',
    unit: 'seconds',
    roles: worker,
    labels: model,
    buckets: latencyBuckets,
    meaning: 'From then until the batch of the item started.',
  },
  runSeconds: {
    name: 'scoreline_run_duration_seconds',
    type: 'histogram',
    unit: 'seconds',
    roles: worker,
    labels: model,
    buckets: latencyBuckets,
    meaning: 'The run of the model, once for each batch.',
  },
  batchRows: {
    name: 'scoreline_batch_size_rows',
    type: 'histogram',
    unit: 'rows',
    roles: worker,
    labels: model,
    buckets: batchSizes,
    meaning: 'Rows of a batch.',
  },
  dropped: {
    name: 'scoreline_dropped_items_total',
    type: 'counter',
    unit: 'items',
    roles: worker,
    labels: [...model, 'reason'],
    meaning:
      'Items that were not scored because their deadline had passed (`late`) or their caller had left (`cancelled`).',
  },
  recovered: {
    name: 'scoreline_recovered_jobs_total',
    type: 'counter',
    unit: 'jobs',
    roles: worker,
    labels: model,
    meaning:
      'Jobs that another worker had taken and not finished. They are tried again, in quarantine.',
  },
  quarantineCrashes: {
    name: 'scoreline_quarantine_crashes_total',
    type: 'counter',
    unit: 'batches',
    roles: worker,
    labels: model,
    meaning: 'Batches that ended the process of the quarantine.',
  },
  handedBack: {
    name: 'scoreline_handed_back_jobs_total',
    type: 'counter',
    unit: 'jobs',
    roles: worker,
    labels: model,
    meaning: 'Jobs that the worker gave back because it had to end before they were done.',
  },
  unreadable: {
    name: 'scoreline_unreadable_jobs_total',
    type: 'counter',
    unit: 'jobs',
    roles: worker,
    labels: model,
    meaning: 'Jobs that the worker could not read. Their items fail with `wire_mismatch`.',
  },
  redisUp: {
    name: 'scoreline_redis_up',
    type: 'gauge',
    unit: 'boolean',
    roles: both,
    labels: [],
    meaning: '1 while Redis is connected, 0 otherwise.',
  },
  redisReconnects: {
    name: 'scoreline_redis_reconnects_total',
    type: 'counter',
    unit: 'connections',
    roles: both,
    labels: [],
    meaning: 'Connections to Redis that were made again.',
  },
  redisSeconds: {
    name: 'scoreline_redis_round_trip_seconds',
    type: 'histogram',
    unit: 'seconds',
    roles: both,
    labels: [],
    buckets: roundTrips,
    meaning: 'How long Redis takes to answer a small command, asked once a second.',
  },
  redisMemoryBytes: {
    name: 'scoreline_redis_memory_bytes',
    type: 'gauge',
    unit: 'bytes',
    roles: api,
    labels: [],
    meaning:
      'Memory that Redis uses, as it says itself. Absent while Redis is away, or if it does not tell this user.',
  },
  redisMemoryMaxBytes: {
    name: 'scoreline_redis_memory_max_bytes',
    type: 'gauge',
    unit: 'bytes',
    roles: api,
    labels: [],
    meaning: 'The most memory that Redis may use (`maxmemory`). Absent if there is no such limit.',
  },
  issuerCertificateSeconds: {
    name: 'scoreline_issuer_certificate_expiry_seconds',
    type: 'gauge',
    unit: 'seconds',
    roles: api,
    labels: [],
    meaning:
      'When the TLS certificate of `OIDC_ISSUER` expires, since the epoch. Looked at once an hour. Absent without an issuer, or if it cannot be reached.',
  },
  webhookAttempts: {
    name: 'scoreline_webhook_attempts_total',
    type: 'counter',
    unit: 'attempts',
    roles: api,
    labels: ['host', 'outcome'],
    meaning:
      'Attempts to deliver a webhook. `host` is one of `WEBHOOK_HOSTS`. `outcome` is `delivered`, `refused` (another status than 2xx), `gone` (410), `timeout`, `unreachable`, `forbidden` (the host leads to an address that is not allowed), or `unwritten` (the API could not write the message; its log says why).',
  },
  webhooksPending: {
    name: 'scoreline_webhooks_pending',
    type: 'gauge',
    unit: 'webhooks',
    roles: api,
    labels: ['host'],
    meaning:
      'Webhooks that are not delivered yet, over all API processes, those of unfinished jobs included.',
  },
  webhooksDead: {
    name: 'scoreline_webhooks_dead',
    type: 'gauge',
    unit: 'webhooks',
    roles: api,
    labels: [],
    meaning: 'Dead letters: webhooks that could not be delivered and are not tried again.',
  },
  build: {
    name: 'scoreline_build_info',
    type: 'gauge',
    unit: 'boolean',
    roles: both,
    labels: ['role', 'version', 'host'],
    meaning:
      '1, with the version of Scoreline and the name of the machine: that of the container or pod.',
  },
  cpuSeconds: {
    name: 'process_cpu_seconds_total',
    type: 'counter',
    unit: 'seconds',
    roles: both,
    labels: [],
    meaning: 'Processor time of the process.',
  },
  memoryBytes: {
    name: 'process_resident_memory_bytes',
    type: 'gauge',
    unit: 'bytes',
    roles: both,
    labels: [],
    meaning: 'Memory of the process.',
  },
  startSeconds: {
    name: 'process_start_time_seconds',
    type: 'gauge',
    unit: 'seconds',
    roles: both,
    labels: [],
    meaning: 'When the process started, since the epoch.',
  },
  heapBytes: {
    name: 'nodejs_heap_size_used_bytes',
    type: 'gauge',
    unit: 'bytes',
    roles: both,
    labels: [],
    meaning: 'The used part of the heap of JavaScript.',
  },
  heapMaxBytes: {
    name: 'nodejs_heap_size_limit_bytes',
    type: 'gauge',
    unit: 'bytes',
    roles: both,
    labels: [],
    meaning: 'The most that the heap may have. Beyond it, the process ends.',
  },
  loopLagSeconds: {
    name: 'nodejs_eventloop_lag_p99_seconds',
    type: 'gauge',
    unit: 'seconds',
    roles: both,
    labels: [],
    meaning: 'How late the event loop was, since the last scrape: 99 of 100 turns were less late.',
  },
  loopActiveSeconds: {
    name: 'nodejs_eventloop_active_seconds_total',
    type: 'counter',
    unit: 'seconds',
    roles: both,
    labels: [],
    meaning: 'How long the event loop has been busy. Its rate is the share of its one processor.',
  },
} as const satisfies Record<string, MetricRow>;

export type MetricKey = keyof typeof metricTable;

/** The codes of refusals that need no further reason. */
export const refusalCodes: readonly ErrorCode[] = codesWith(429, 503).filter(
  (code) => code !== 'overloaded',
);

/** The faults of the service. Their series are there from the start, since alerts count them. */
export const faultCodes: readonly ErrorCode[] = [
  ...codesWith(503, 504),
  'model_load_failed',
  'model_crashed',
  'model_failed',
  'internal_error',
  'model_output_mismatch',
  'wire_mismatch',
];

/** Whether the service is to blame for an error. A newer one may have codes that are not known here. */
export function isFault(code: string): boolean {
  const statuses: Readonly<Record<string, { readonly status: number }>> = errorTable;
  return faultCodes.includes(code as ErrorCode) || (statuses[code]?.status ?? 0) >= 500;
}

function codesWith(...statuses: readonly number[]): ErrorCode[] {
  const codes = Object.keys(errorTable) as ErrorCode[];
  return codes.filter((code) => statuses.includes(errorTable[code].status));
}
