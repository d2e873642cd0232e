// What API and worker tell each other: jobs in the queue, replies on a stream.
//
// A job is a batch of items from one API instance for one model and version. The item is the unit
// of deadline, cancellation, failure and reply. Its inputs and the outputs in its reply are named
// tensors. Times are milliseconds since the epoch by the sender's clock, with fractions; the clocks
// of the machines must agree to well below the deadlines in use.
//
// A job travels as JSON, which BullMQ stores. Small tensors lie in it as base64, since reading them
// from elsewhere would cost a round trip; large ones lie beside it as binary, in one hash a job.
// Replies travel in MessagePack, where bytes stay bytes.
//
// Everything is parsed by a schema on arrival. A queue's name holds a digest of what both sides
// must agree on (`queueName`), so during a rolling update each job reaches a worker that can read it. The
// `envelope` of a job is the part that every version of this file can read: with it, a job that
// cannot be understood is still refused to those who wait for it.

import { createHash } from 'node:crypto';
import { Packr } from 'msgpackr';
import { z } from 'zod';
import { coerceError, type ErrorCode, ScorelineError } from './errors.js';
import { checkTensor, datatypes, type Tensor, toBuffer } from './tensors.js';

/** The version of this format. Raise it with every change that an older build cannot read. */
export const wireVersion = 2;

/**
 * The versions that this build reads and answers in. A worker serves a queue of each, so that
 * workers may be updated before the API.
 */
export const readableWireVersions: readonly number[] = [wireVersion];

/** Tensors up to this size lie in the job itself. A larger one costs more there than a round trip. */
const inlineBytesMax = 4096;

/** One input to be scored. */
export interface Item {
  readonly id: string;
  readonly submittedAt: number;
  readonly deadlineAt: number;
  readonly inputs: readonly Tensor[];
  /**
   * The caller wants the best `top` classes of the scores, as the outputs `classes` (UINT32) and
   * `scores` (FP32), each of shape [rows, top], best first. Undefined: the outputs as they are.
   */
  readonly top?: number | undefined;
  /** The outputs that the caller wants, where not all of them. */
  readonly outputs?: readonly string[] | undefined;
  /** How long the reply is kept for a caller that asks again; the first reply kept counts. */
  readonly keepMs?: number | undefined;
}

export interface BatchJob {
  /** The API instance that waits for the replies. */
  readonly replyTo: string;
  readonly items: readonly Item[];
}

// `checkTensor` looks at the sizes and the bytes, for each item alone.
const shapeSchema = z.array(z.number());

const wireTensorSchema = z.object({
  name: z.string(),
  datatype: z.enum(datatypes),
  shape: shapeSchema,
  data: z.string().optional(),
});

const wireItemSchema = z.object({
  id: z.string(),
  submittedAt: z.number(),
  deadlineAt: z.number(),
  inputs: z.array(wireTensorSchema),
  top: z.int().positive().optional(),
  outputs: z.array(z.string()).optional(),
  keepMs: z.number().positive().optional(),
});

const wireJobSchema = z.object({
  wire: z.literal(readableWireVersions),
  replyTo: z.string().min(1),
  items: z.array(wireItemSchema).min(1),
});

/** What every version of a job has. */
const envelopeSchema = z.object({
  wire: z.unknown(),
  replyTo: z.string().min(1),
  items: z.array(z.object({ id: z.string().min(1) })),
});

interface WireTensor extends Omit<Tensor, 'data'> {
  /** Base64; the tensor lies beside the job where this is missing. */
  readonly data?: string | undefined;
}

export interface WireItem extends Omit<Item, 'inputs'> {
  readonly inputs: readonly WireTensor[];
}

export interface WireJob {
  readonly wire: number;
  readonly replyTo: string;
  readonly items: readonly WireItem[];
}

/** A job that cannot be understood, with those who wait for it as far as that can be told. */
export interface UnreadableJob {
  readonly replyTo: string | undefined;
  readonly ids: readonly string[];
  readonly reason: string;
}

/** The job for the queue, and the tensors that lie beside it, by field of the payload's hash. */
export function encodeJob({ replyTo, items }: BatchJob): {
  job: WireJob;
  payload: ReadonlyMap<string, Uint8Array>;
} {
  const payload = new Map<string, Uint8Array>();
  // Built key by key, here and in `joinItem`: V8 is slow at the rest of an object.
  const encodeTensor = (itemId: string, { name, datatype, shape, data }: Tensor): WireTensor => {
    if (data.byteLength <= inlineBytesMax) {
      return { name, datatype, shape, data: toBuffer(data).toString('base64') };
    }
    payload.set(payloadField(itemId, name), data);
    return { name, datatype, shape };
  };
  const encodeItem = (item: Item) => ({
    id: item.id,
    submittedAt: item.submittedAt,
    deadlineAt: item.deadlineAt,
    inputs: item.inputs.map((tensor) => encodeTensor(item.id, tensor)),
    top: item.top,
    outputs: item.outputs,
    keepMs: item.keepMs,
  });
  return { job: { wire: wireVersion, replyTo, items: items.map(encodeItem) }, payload };
}

/** Parses what came out of the queue. */
export function decodeJob(data: unknown): WireJob | UnreadableJob {
  const parsed = wireJobSchema.safeParse(data);
  if (parsed.success) return parsed.data;
  const envelope = envelopeSchema.safeParse(data);
  const [issue] = parsed.error.issues;
  return {
    replyTo: envelope.data?.replyTo,
    ids: envelope.data?.items.map(({ id }) => id) ?? [],
    reason: `${issue?.path.join('.') || 'the job'}: ${issue?.message}`,
  };
}

export function isUnreadable(job: WireJob | UnreadableJob): job is UnreadableJob {
  return 'reason' in job;
}

/** The fields of the payload's hash that hold the tensors of these items, in order. */
export function payloadFields(items: readonly WireItem[]): string[] {
  return items.flatMap(({ id, inputs }) =>
    inputs.filter(({ data }) => data === undefined).map(({ name }) => payloadField(id, name)),
  );
}

/**
 * An item with its tensors; undefined when one that lay beside the job is gone, which means that
 * the item has outlived its deadline.
 * @throws ScorelineError `wire_mismatch` when a tensor is not what its shape says
 */
export function joinItem(
  item: WireItem,
  payload: ReadonlyMap<string, Uint8Array>,
): Item | undefined {
  const { id } = item;
  const inputs: Tensor[] = [];
  for (const { name, datatype, shape, data: text } of item.inputs) {
    const data =
      text === undefined ? payload.get(payloadField(id, name)) : Buffer.from(text, 'base64');
    if (data === undefined) return undefined;
    inputs.push(checked({ name, datatype, shape, data }));
  }
  const { submittedAt, deadlineAt, top, outputs, keepMs } = item;
  return { id, submittedAt, deadlineAt, inputs, top, outputs, keepMs };
}

export interface Timing {
  /** From the submission to the moment a worker took the item. */
  readonly queueMs: number;
  /** From there to the start of the batch. */
  readonly batchMs: number;
  /** The model's run, for the whole batch. */
  readonly computeMs: number;
  readonly batchSize: number;
}

export type Reply =
  | {
      readonly id: string;
      readonly outputs: readonly Tensor[];
      readonly timing: Timing;
      /** The reply was kept from an earlier request, and its timing is of then. */
      readonly isKept?: boolean | undefined;
    }
  | { readonly id: string; readonly error: { readonly code: ErrorCode; readonly detail: string } };

// One object with optional parts rather than a union, which takes twice as long to parse.
const packedSchema = z.object({
  wire: z.literal(readableWireVersions),
  replies: z.array(
    z.object({
      id: z.string(),
      outputs: z
        .array(
          z.object({
            name: z.string(),
            datatype: z.enum(datatypes),
            shape: shapeSchema,
            data: z.instanceof(Uint8Array),
          }),
        )
        .optional(),
      timing: z
        .object({
          queueMs: z.number(),
          batchMs: z.number(),
          computeMs: z.number(),
          batchSize: z.number(),
        })
        .optional(),
      isKept: z.boolean().optional(),
      error: z.object({ code: z.string(), detail: z.string() }).optional(),
    }),
  ),
});

/** What every version of packed replies has. */
const packedIdsSchema = z.object({ replies: z.array(z.object({ id: z.string() })) });

const packr = new Packr({ useRecords: false });

/** Replies as they travel and are kept. `wire` is the version of the job they answer. */
export function packReplies(replies: readonly Reply[], wire = wireVersion): Buffer {
  return packr.pack({ wire, replies });
}

/** @throws ScorelineError `wire_mismatch` */
export function unpackReplies(bytes: Uint8Array): readonly Reply[] {
  let packed: unknown;
  try {
    packed = packr.unpack(bytes);
  } catch (thrown) {
    throw mismatch(coerceError(thrown).message);
  }
  const parsed = packedSchema.safeParse(packed);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw mismatch(`${issue?.path.join('.')}: ${issue?.message}`);
  }
  for (const { id, outputs, timing, error } of parsed.data.replies) {
    if (!error && !(outputs && timing)) throw mismatch(`the reply to ${id} is no reply`);
    for (const tensor of outputs ?? []) checked(tensor);
  }
  // A worker of a later release may know errors that we do not; see `errorOfReply`.
  return parsed.data.replies as readonly Reply[];
}

/** The items that unreadable replies are for, as far as can be told. */
export function idsOfReplies(bytes: Uint8Array): string[] {
  try {
    const { replies } = packedIdsSchema.parse(packr.unpack(bytes));
    return replies.map(({ id }) => id);
  } catch {
    return [];
  }
}

/**
 * The BullMQ queue of a model and version: its name, and a digest of what API and worker must agree
 * on. So a worker never gets items that it would read or label differently. Everything comes from
 * the model's folder, since Kubernetes manifests name the queue too.
 */
export function queueName(
  model: { name: string; version: string; fileSha256: string; labels: string | Uint8Array },
  wire = wireVersion,
): string {
  const { name, version, fileSha256, labels } = model;
  const digest = createHash('sha256')
    .update(`${wire} ${fileSha256} `)
    .update(labels)
    .digest('hex')
    .slice(0, 8);
  return `${name}@${version}~${digest}`;
}

function payloadField(itemId: string, tensor: string): string {
  return `${itemId}/${tensor}`;
}

function checked(tensor: Tensor): Tensor {
  try {
    checkTensor(tensor);
    return tensor;
  } catch (thrown) {
    throw mismatch(coerceError(thrown).message);
  }
}

function mismatch(reason: string): ScorelineError {
  return new ScorelineError(
    'wire_mismatch',
    `API and worker do not understand each other: ${reason}`,
  );
}
