// The fields of lines about requests, the same everywhere. docs/telemetry.md is generated from this table.

export const requestFieldTable = {
  requestId: 'The `X-Request-Id` of the answer.',
  traceId: 'The trace of the request, if it is traced.',
  spanId: 'Its span in that trace.',
  caller: 'The id of the caller, if there are callers.',
  method: 'The method of HTTP or gRPC.',
  path: 'The path, without its query, and without API keys that were put there by mistake.',
  model: 'The model, if it is known.',
  version: 'Its version.',
  status: 'The status of the answer. Absent if its client was gone.',
  code: '`ok`, `not_ready`, or the [code of the error](errors.md).',
  ms: 'From arrival to departure, in milliseconds.',
  detail: 'What went wrong. It quotes nothing that the client sent.',
  advice: 'What an operator can do.',
  reason: 'Why the request was refused ([metrics.md](metrics.md#reasons-of-refusals)).',
  leftOut: 'How many lines of the same code were left out before this one.',
  err: 'The cause of a fault of ours, with its stack.',
} as const;

export type RequestFields = Partial<Record<keyof typeof requestFieldTable, unknown>>;
