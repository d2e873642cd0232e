// Jobs: what the API tells the workers, by the queue. The replies are in reply.ts.
//
// A job is a batch of items from one API instance for one model and version. The item is the unit
// of deadline, cancellation, failure and reply. Its inputs are named tensors. Times are milliseconds since the epoch by the sender's clock, with fractions; the clocks
// of the machines must agree to well below the deadlines in use.
//
// A job travels as JSON, which BullMQ stores. Small tensors lie in it as base64, since reading them
// from elsewhere would cost a round trip; large ones lie beside it as binary, in one hash a job.
// Items of one layout share it (layouts.ts).
//
// Everything is parsed by a schema on arrival. A queue's name holds a digest of what both sides
// must agree on (`queueName`), so during a rolling update each job reaches a worker that can read it. The
// `envelope` of a job is the part that every version of this file can read: with it, a job that
// cannot be understood is still refused to those who wait for it.

import { z } from 'zod';
import { coerceError, ScorelineError } from './errors.js';
import { Layouts, layOut, layoutsSchema } from './layouts.js';
import { checkTensor, type Tensor, toBuffer } from './tensors.js';
import { readableWireVersions, wireVersion } from './wire-version.js';

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

const packedJobSchema = z.object({
  wire: z.literal(readableWireVersions),
  replyTo: z.string().min(1),
  layouts: layoutsSchema,
  items: z
    .array(
      z.object({
        id: z.string(),
        submittedAt: z.number(),
        deadlineAt: z.number(),
        layout: z.number(),
        /** Base64; a tensor lies beside the job where this is null. */
        data: z.array(z.string().nullable()),
        top: z.int().positive().optional(),
        outputs: z.array(z.string()).optional(),
        keepMs: z.number().positive().optional(),
      }),
    )
    .min(1),
});

/** What every version of a job has. */
const envelopeSchema = z.object({
  wire: z.unknown(),
  replyTo: z.string().min(1),
  items: z.array(z.object({ id: z.string().min(1) })),
});

/** A job as it lies in the queue, in JSON. */
export type PackedJob = z.output<typeof packedJobSchema>;

/** An item whose large tensors still lie beside the job. */
export interface WireItem extends Omit<Item, 'inputs'> {
  /** The data is base64, or null where the tensor lies beside the job. */
  readonly inputs: readonly (Omit<Tensor, 'data'> & { readonly data: string | null })[];
}

/** A job as it was read. */
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
  job: PackedJob;
  payload: ReadonlyMap<string, Uint8Array>;
} {
  const payload = new Map<string, Uint8Array>();
  const layouts = new Layouts();
  const encodeData = (itemId: string, { name, data }: Tensor): string | null => {
    if (data.byteLength <= inlineBytesMax) return toBuffer(data).toString('base64');
    payload.set(payloadField(itemId, name), data);
    return null;
  };
  // Built key by key, here and in `joinItem`: V8 is slow at the rest of an object.
  const encodeItem = (item: Item) => ({
    id: item.id,
    submittedAt: item.submittedAt,
    deadlineAt: item.deadlineAt,
    layout: layouts.indexOf(item.inputs),
    data: item.inputs.map((tensor) => encodeData(item.id, tensor)),
    top: item.top,
    outputs: item.outputs && [...item.outputs],
    keepMs: item.keepMs,
  });
  const packedItems = items.map(encodeItem);
  const job = { wire: wireVersion, replyTo, layouts: layouts.list, items: packedItems };
  return { job: job as unknown as PackedJob, payload };
}

/** Parses what came out of the queue. */
export function decodeJob(data: unknown): WireJob | UnreadableJob {
  const parsed = packedJobSchema.safeParse(data);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return unreadable(data, `${issue?.path.join('.') || 'the job'}: ${issue?.message}`);
  }
  const { wire, replyTo, layouts, items } = parsed.data;
  const wireItems: WireItem[] = [];
  for (const [index, item] of items.entries()) {
    const inputs = layOut(layouts[item.layout], item.data);
    if (!inputs) return unreadable(data, `items.${index}.layout: there is no layout for its data`);
    const { id, submittedAt, deadlineAt, top, outputs, keepMs } = item;
    wireItems.push({ id, submittedAt, deadlineAt, inputs, top, outputs, keepMs });
  }
  return { wire, replyTo, items: wireItems };
}

export function isUnreadable(job: WireJob | UnreadableJob): job is UnreadableJob {
  return 'reason' in job;
}

/** The fields of the payload's hash that hold the tensors of these items, in order. */
export function payloadFields(items: readonly WireItem[]): string[] {
  return items.flatMap(({ id, inputs }) =>
    inputs.filter(({ data }) => data === null).map(({ name }) => payloadField(id, name)),
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
  const { id, submittedAt, deadlineAt, top, outputs, keepMs } = item;
  const inputs: Tensor[] = [];
  for (const { name, datatype, shape, data: text } of item.inputs) {
    const data = text === null ? payload.get(payloadField(id, name)) : Buffer.from(text, 'base64');
    if (data === undefined) return undefined;
    inputs.push(checkWireTensor({ name, datatype, shape, data }));
  }
  return { id, submittedAt, deadlineAt, inputs, top, outputs, keepMs };
}

/** @throws ScorelineError `wire_mismatch` when a tensor is not what its shape says */
export function checkWireTensor(tensor: Tensor): Tensor {
  try {
    checkTensor(tensor);
    return tensor;
  } catch (thrown) {
    throw wireMismatch(coerceError(thrown).message);
  }
}

export function wireMismatch(reason: string): ScorelineError {
  return new ScorelineError(
    'wire_mismatch',
    `API and worker do not understand each other: ${reason}`,
  );
}

function unreadable(data: unknown, reason: string): UnreadableJob {
  const { replyTo, items = [] } = envelopeSchema.safeParse(data).data ?? {};
  return { replyTo, ids: items.map(({ id }) => id), reason };
}

function payloadField(itemId: string, tensor: string): string {
  return `${itemId}/${tensor}`;
}
