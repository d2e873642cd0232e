// Every error that a caller or an operator can meet: code, HTTP status, whether the same request
// may succeed later, and a title. docs/errors.md is generated from this table.
//
// An error's detail says what was expected, what was given, and what to do. Callers see it, so the
// detail of an error that answers a request never holds a stack, a path or a library's message. Only
// `inputs_refused` has the reason of ONNX Runtime, without the places in its source, and `model_load_failed` tells
// operators what a worker's log says.

export const errorTable = {
  invalid_json: { status: 400, retry: false, title: 'The body is not valid JSON' },
  input_missing: { status: 400, retry: false, title: 'The request holds no input' },
  input_invalid: { status: 400, retry: false, title: 'The input has the wrong form' },
  text_too_long: { status: 400, retry: false, title: 'The text is too long' },
  base64_invalid: { status: 400, retry: false, title: 'The input is not valid base64' },
  image_unreadable: { status: 400, retry: false, title: 'The image cannot be decoded' },
  image_unsupported: { status: 400, retry: false, title: 'The image format is not accepted' },
  image_too_large: { status: 413, retry: false, title: 'The image has too many pixels' },
  too_many_inputs: { status: 400, retry: false, title: 'The request holds too many inputs' },
  tensor_invalid: { status: 400, retry: false, title: 'A tensor does not match its shape' },
  inputs_refused: {
    status: 422,
    retry: false,
    title: 'The network cannot run with these inputs',
  },
  network_undeclared: {
    status: 404,
    retry: false,
    title: 'The manifest does not declare the network, which the Open Inference Protocol needs',
  },
  parameter_invalid: {
    status: 400,
    retry: false,
    title: 'A parameter is unknown, or has a wrong value',
  },
  idempotency_key_invalid: { status: 400, retry: false, title: 'The Idempotency-Key is malformed' },
  idempotency_key_reused: {
    status: 422,
    retry: false,
    title: 'The Idempotency-Key was used for another request',
  },
  preference_invalid: { status: 400, retry: false, title: 'What the request prefers is malformed' },
  not_acceptable: { status: 406, retry: false, title: 'The client accepts no form of the answer' },
  webhook_invalid: { status: 400, retry: false, title: 'The Webhook-Url cannot be used' },
  webhook_not_allowed: {
    status: 400,
    retry: false,
    title: 'The Webhook-Url names a host that is not allowed',
  },
  webhook_not_found: { status: 404, retry: false, title: 'There is no such dead letter' },
  job_not_found: { status: 404, retry: false, title: 'The caller has no such job' },
  job_finished: { status: 409, retry: false, title: 'The job has ended and cannot be cancelled' },
  job_cancelled: { status: 409, retry: false, title: 'The job was cancelled' },
  event_id_invalid: { status: 400, retry: false, title: 'The Last-Event-ID is malformed' },
  event_gone: { status: 410, retry: false, title: 'The event of the Last-Event-ID is not kept' },
  result_too_large: { status: 422, retry: false, title: 'The result is too large' },
  deadline_invalid: { status: 400, retry: false, title: 'The deadline is not a valid number' },
  body_too_large: { status: 413, retry: false, title: 'The body is too large' },
  unsupported_media_type: { status: 415, retry: false, title: 'The content type is not accepted' },
  request_invalid: { status: 400, retry: false, title: 'The request could not be read' },
  request_timeout: { status: 408, retry: true, title: 'The request took too long to arrive' },
  headers_too_large: { status: 431, retry: false, title: 'The address and headers are too long' },
  not_found: { status: 404, retry: false, title: 'There is no such address' },
  method_not_allowed: {
    status: 405,
    retry: false,
    title: 'This address does not accept the method',
  },
  https_required: { status: 403, retry: false, title: 'The request came by plain HTTP' },
  unauthenticated: { status: 401, retry: false, title: 'The request does not say who asks' },
  key_malformed: { status: 401, retry: false, title: 'The API key is cut off or mistyped' },
  key_unknown: { status: 401, retry: false, title: 'The API key is not valid here' },
  key_expired: { status: 401, retry: false, title: 'The API key has expired' },
  token_invalid: { status: 401, retry: false, title: 'The access token is not accepted' },
  issuer_unavailable: { status: 503, retry: true, title: 'The token issuer cannot be reached' },
  scope_missing: { status: 403, retry: false, title: 'The caller may not do this' },
  rate_limited: { status: 429, retry: true, title: 'The caller sends requests too fast' },
  concurrency_limited: {
    status: 429,
    retry: true,
    title: 'The caller has too many requests in flight',
  },
  model_load_failed: { status: 422, retry: false, title: 'The model could not be loaded' },
  model_not_found: { status: 404, retry: false, title: 'There is no such model' },
  overloaded: { status: 429, retry: true, title: 'Too many requests are in flight' },
  queue_unavailable: { status: 503, retry: true, title: 'The queue cannot be reached' },
  queue_lost: { status: 503, retry: true, title: 'The queue has lost its contents' },
  shutting_down: { status: 503, retry: true, title: 'This instance is shutting down' },
  client_closed: { status: 499, retry: false, title: 'The client hung up' },
  deadline_exceeded: { status: 504, retry: true, title: 'No answer before the deadline' },
  model_crashed: { status: 500, retry: false, title: 'The input crashes the model' },
  model_failed: { status: 500, retry: false, title: 'The model failed on this input' },
  model_output_mismatch: {
    status: 500,
    retry: false,
    title: 'The model returned another number of rows, or other sizes, than expected',
  },
  wire_mismatch: {
    status: 500,
    retry: true,
    title: 'API and worker do not understand each other',
  },
  internal_error: { status: 500, retry: true, title: 'Something went wrong on our side' },
  configuration_invalid: { status: 500, retry: false, title: 'The configuration is wrong' },
  redis_unusable: { status: 500, retry: false, title: 'Redis cannot be used as it is configured' },
  manifest_invalid: { status: 500, retry: false, title: 'A model.yaml or traffic.yaml is wrong' },
  model_file_missing: { status: 500, retry: false, title: 'A model file is missing' },
  model_file_wrong: {
    status: 500,
    retry: false,
    title: 'A model file is wrong, or another one than its manifest names',
  },
  provider_unavailable: {
    status: 500,
    retry: false,
    title: 'ONNX Runtime cannot use the device',
  },
  memory_insufficient: {
    status: 500,
    retry: false,
    title: 'A model does not fit into the memory of a worker',
  },
  environment_failed: {
    status: 500,
    retry: true,
    title: 'The Python environment of a model could not be made',
  },
  download_failed: { status: 500, retry: true, title: 'A download failed' },
} as const satisfies Record<string, { status: number; retry: boolean; title: string }>;

export type ErrorCode = keyof typeof errorTable;

/** Why a request is refused with `overloaded`. The metrics count refusals by reason. */
export const overloadReasons = {
  permits: 'All permits are taken (`PERMITS_MAX`).',
  model_share: 'The model would leave too few permits to the others.',
  caller_share: 'The caller would leave too few permits to other callers.',
  bulk_share: 'Bulk would leave too few permits to interactive requests.',
  queue_full: 'The model has too many unanswered inputs (`QUEUE_ITEMS_MAX`).',
  redis_memory: "Redis' memory is all but full (its `maxmemory`).",
  wait_too_long: 'The workers would not answer before the deadline.',
  bodies: 'The bodies of requests take too much memory (`BODIES_BYTES_MAX`).',
  results_full:
    'Too many results, or too many bytes of them, are kept for repeats and jobs (`RESULTS_MAX`, `RESULTS_BYTES_MAX`).',
  caller_results_full:
    'The caller has used its share of the kept results (`CALLER_RESULTS_PERCENT`).',
  caller_jobs_full: 'The caller has too many jobs (`CALLER_JOBS_MAX`).',
  event_streams: 'Too many event streams are open (`EVENT_STREAMS_MAX`).',
  repeats: 'Too many requests wait with one `Idempotency-Key`.',
  webhooks_full: 'Too many webhooks to one host are pending (`WEBHOOK_PENDING_MAX`).',
  caller_webhooks_full:
    'The caller has used its share of the pending webhooks to one host (`WEBHOOK_PENDING_MAX`).',
} as const;
export type OverloadReason = keyof typeof overloadReasons;

/** An operating error with a code of `errorTable`. Its message is the detail. */
export class ScorelineError extends Error {
  readonly code: ErrorCode;
  /** When to ask again, if that can be estimated: whole seconds, from 1 to 60. */
  readonly retryAfterSeconds: number | undefined;
  /** Says more about `overloaded`. */
  readonly reason: OverloadReason | undefined;
  /** The name of a model that is here and cannot be served. The metrics count its requests by it. */
  readonly unservedModel: string | undefined;

  constructor(
    code: ErrorCode,
    detail: string,
    options: {
      cause?: unknown;
      retryAfterSeconds?: number;
      reason?: OverloadReason;
      unservedModel?: string;
    } = {},
  ) {
    // Nobody reads the stack of a caller's mistake. Capturing it took 7 % of the API's time under
    // overload.
    const { stackTraceLimit } = Error;
    if (errorTable[code].status < 500) Error.stackTraceLimit = 0;
    super(detail, { cause: options.cause });
    Error.stackTraceLimit = stackTraceLimit;
    this.name = 'ScorelineError';
    this.code = code;
    this.reason = options.reason;
    this.unservedModel = options.unservedModel;
    this.retryAfterSeconds =
      options.retryAfterSeconds === undefined
        ? undefined
        : Math.min(Math.max(Math.round(options.retryAfterSeconds), 1), 60);
  }
}

/** Returns a thrown value as an Error. */
export function coerceError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

/** Returns an error as a problem document (RFC 9457). */
export function problemOf({ code, message }: ScorelineError): object {
  const { status, title } = errorTable[code];
  return { type: `urn:scoreline:error:${code}`, title, status, code, detail: message };
}
