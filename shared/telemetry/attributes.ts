// Every span, event and attribute that Scoreline sends. docs/telemetry.md is generated from these tables.
//
// Names follow the semantic conventions of OpenTelemetry where there are some (HTTP, RPC, messaging). The others
// begin with `scoreline.`. No attribute holds an input, a result, a key or a name that a client made up, except
// the path of an address, which the log has as well.

interface SpanRow {
  readonly kind: 'server' | 'producer' | 'consumer' | 'internal';
  readonly by: 'api' | 'worker';
  readonly meaning: string;
}

export const spanTable = {
  GET: { kind: 'server', by: 'api', meaning: 'A request by HTTP, with its route.' },
  POST: { kind: 'server', by: 'api', meaning: 'A request by HTTP, with its route.' },
  DELETE: { kind: 'server', by: 'api', meaning: 'A request by HTTP, with its route.' },
  HTTP: { kind: 'server', by: 'api', meaning: 'A request by HTTP with another method.' },
  rpc: {
    kind: 'server',
    by: 'api',
    meaning: 'A request by gRPC. It is named after the service and the method.',
  },
  prepare: {
    kind: 'internal',
    by: 'api',
    meaning: 'The inputs are made into tensors: texts normalised, pictures decoded.',
  },
  send: {
    kind: 'producer',
    by: 'api',
    meaning: 'An item, until Redis has the job that it shares with others.',
  },
  queue: {
    kind: 'internal',
    by: 'worker',
    meaning: 'The item waits in the queue, from its submission until a worker takes it.',
  },
  process: {
    kind: 'consumer',
    by: 'worker',
    meaning: 'A worker has the item: from the moment it is taken until its reply is sent.',
  },
  wait: {
    kind: 'internal',
    by: 'worker',
    meaning: 'The item waits in the worker until its batch starts.',
  },
  run: { kind: 'internal', by: 'worker', meaning: "The model's run of the batch with the item." },
  reply: {
    kind: 'internal',
    by: 'worker',
    meaning: 'The result is ranked, kept if it has to be, and sent to the API.',
  },
  batch: {
    kind: 'internal',
    by: 'worker',
    meaning:
      'A batch, in a trace of its own. It is linked to `process` of each of its items that are traced, and they to it.',
  },
} as const satisfies Record<string, SpanRow>;

export type SpanName = keyof typeof spanTable;

interface AttributeRow {
  readonly on: readonly SpanName[];
  readonly meaning: string;
}

const server = ['GET', 'POST', 'DELETE', 'HTTP', 'rpc'] as const;
const http = ['GET', 'POST', 'DELETE', 'HTTP'] as const;
const messaging = ['send', 'process'] as const;

export const attributeTable = {
  'http.request.method': { on: http, meaning: 'The method; `_OTHER` if it is an unusual one.' },
  'http.request.method_original': { on: ['HTTP'], meaning: 'The method as it came.' },
  'http.route': { on: http, meaning: 'The route, if the address is one that scores.' },
  'http.response.status_code': { on: http, meaning: 'The status of the answer.' },
  'url.path': { on: http, meaning: 'The path, without API keys that were put there by mistake.' },
  'url.scheme': { on: http, meaning: 'http. TLS ends before the API.' },
  'network.protocol.version': { on: http, meaning: 'The version of HTTP.' },
  'rpc.system': { on: ['rpc'], meaning: 'grpc' },
  'rpc.service': { on: ['rpc'], meaning: 'inference.GRPCInferenceService' },
  'rpc.method': { on: ['rpc'], meaning: 'The method.' },
  'rpc.grpc.status_code': { on: ['rpc'], meaning: 'The status of the answer.' },
  'error.type': {
    on: [...server, 'send', 'process', 'batch'],
    meaning: 'The code of the error (errors.md), of what failed.',
  },
  'messaging.system': { on: messaging, meaning: 'bullmq' },
  'messaging.operation.type': { on: messaging, meaning: 'send or process.' },
  'messaging.operation.name': { on: messaging, meaning: 'send or process.' },
  'messaging.destination.name': { on: [...messaging, 'batch'], meaning: 'The name of the queue.' },
  'messaging.message.id': { on: messaging, meaning: 'The id of the item.' },
  'scoreline.model.name': {
    on: [...server, 'send', 'process', 'batch'],
    meaning: 'The model.',
  },
  'scoreline.model.version': {
    on: [...server, 'send', 'process', 'batch'],
    meaning: 'Its version.',
  },
  'scoreline.request.id': {
    on: server,
    meaning: 'The `X-Request-Id`, as in the answer and in the log.',
  },
  'scoreline.caller.id': { on: server, meaning: 'Who asks, if callers are told apart.' },
  'scoreline.inputs': { on: server, meaning: 'How many inputs the request has.' },
  'scoreline.deadline_ms': { on: server, meaning: 'How long the request may take.' },
  'scoreline.refusal.reason': { on: server, meaning: 'Why it was refused (metrics.md).' },
  'scoreline.replayed': { on: server, meaning: 'The answer was kept from an earlier request.' },
  'scoreline.deferred': { on: server, meaning: 'The answer comes later, as a job.' },
  'scoreline.kept_for': {
    on: server,
    meaning:
      '`error` or `slow`: the sampler left the trace out, but its request failed or was slow. The trace has no other spans.',
  },
  'scoreline.queue_ms': { on: server, meaning: 'How long its slowest input waited in the queue.' },
  'scoreline.batch_ms': { on: server, meaning: 'How long that waited in the worker.' },
  'scoreline.compute_ms': { on: server, meaning: "How long the model's run took." },
  'scoreline.batch.rows': {
    on: [...server, 'run', 'batch'],
    meaning: 'The size of the batch, in rows.',
  },
  'scoreline.batch.items': { on: ['batch'], meaning: 'How many items the batch has.' },
  'scoreline.job.id': { on: ['process'], meaning: 'The job that the item shares with others.' },
  'scoreline.recovered': {
    on: ['process'],
    meaning: 'The job was taken before by a worker that died or lost it.',
  },
  'scoreline.quarantined': {
    on: ['process', 'batch'],
    meaning: 'The item was scored in a process of its own, because its worker died.',
  },
  'scoreline.dropped': {
    on: ['process'],
    meaning: '`late` or `cancelled`: the item was not scored, because nobody waits for it.',
  },
} as const satisfies Record<string, AttributeRow>;

export type AttributeName = keyof typeof attributeTable;
export type Attributes = Partial<Record<AttributeName, string | number | boolean>>;

export const eventTable = {
  cancelled: 'The client hung up, so the work was stopped.',
  deadline_exceeded: 'The deadline passed.',
  worker_lost: 'A worker that had the job died or lost it, some time before this.',
  quarantine_crashed: 'The item ended the process of the quarantine, alone or with its neighbours.',
} as const;

export type EventName = keyof typeof eventTable;
