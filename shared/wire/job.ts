// Jobs: the messages that the API sends to the workers through the queue. For replies see reply.ts.
//
// A job is a batch of items from one API instance for one model and version. Each item has its own
// deadline, cancellation, failure and reply. Its inputs are named tensors. Times are milliseconds
// since the epoch by the sender's clock, with fractions. The machines' clocks must agree to well
// below the deadlines in use.
//
// A job travels as JSON, which BullMQ stores. Small tensors lie in it as base64, because reading
// them from elsewhere would cost a round trip. Large tensors lie beside it as binary, in one hash
// for each job. Items of the same layout share it (layouts.ts).
//
// A schema parses everything on arrival. A queue's name holds a digest of everything that both
// sides must agree on (`queueName`), so during a rolling update each job reaches a worker that can
// read it. Every version of this file can read a job's envelope. It tells a worker which items to
// fail when it cannot read the rest.

import { z } from 'zod';
import { coerceError, ScorelineError } from '../errors.js';
import type { TraceContext } from '../telemetry/telemetry.js';
import { checkTensor, type Tensor, type TensorHead, toBuffer } from '../tensors/tensors.js';
import { Layouts, layOut, layoutsSchema } from './layouts.js';
import { readableWireVersions, wireVersion } from './version.js';

/** Tensors up to this size lie in the job. A larger one would cost more there than a round trip. */
const inlineBytesMax = 4096;

/** One input to score, or several rows of one request. Times are milliseconds since the epoch. */
export interface Item {
  /** Says how many rows the item has (item-id.ts). */
  readonly id: string;
  readonly submittedAt: number;
  readonly deadlineAt: number;
  readonly inputs: readonly Tensor[];
  /**
   * How many of the best classes the caller wants. They are the outputs `classes` (UINT32) and
   * `scores` (FP32), each of shape [rows, top], best first; the further answers of a model come beside
   * them (manifest/heads.ts). If undefined, the caller gets the outputs of the network.
   */
  readonly top?: number | undefined;
  /** The names of the outputs that the caller wants; all if undefined. */
  readonly outputs?: readonly string[] | undefined;
  /** How long the reply is kept for a repeat. The first reply kept is the item's result. */
  readonly keepMs?: number | undefined;
  /** The caller whose share of the kept results the reply counts for; undefined if there are no shares. */
  readonly keepFor?: string | undefined;
  /**
   * The most bytes of a reply that is kept. A larger one becomes the error `result_too_large`. Set for the items of
   * a caller's job. Nobody sends them again, so whatever their reply is, it is kept.
   */
  readonly keepBytesMax?: number | undefined;
  /** The span that the item's own go below, if its request is traced. Older builds ignore it. */
  readonly trace?: TraceContext | undefined;
}

/** What the caller of an item wants: its best classes (`top`), or certain outputs; all outputs if neither is given. */
export type OutputWish = Pick<Item, 'top' | 'outputs'>;

/** The fields of an item that say how its reply is kept. */
export type Keeping = Pick<Item, 'id' | 'keepMs' | 'keepFor' | 'keepBytesMax'>;

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
        /** Each tensor's data in base64, or null if it lies beside the job. */
        data: z.array(z.string().nullable()),
        top: z.number().optional(),
        outputs: z.array(z.string()).optional(),
        keepMs: z.number().optional(),
        keepFor: z.string().optional(),
        keepBytesMax: z.number().optional(),
        /** Checked where it is used: an item must not fail because of its trace. */
        trace: z.unknown().optional(),
      }),
    )
    .min(1),
});

/** The part of a job that every wire version has. */
const envelopeSchema = z.object({
  wire: z.unknown(),
  replyTo: z.string().min(1),
  items: z.array(
    z.object({
      id: z.string().min(1),
      keepMs: z.int().positive().optional().catch(undefined),
      keepFor: z.string().optional().catch(undefined),
      keepBytesMax: z.number().optional().catch(undefined),
    }),
  ),
});

/** A job as the queue stores it, in JSON. */
export type PackedJob = z.output<typeof packedJobSchema>;

/** An item whose large tensors still lie beside the job. */
export interface WireItem extends Omit<Item, 'inputs'> {
  /** The data is base64, or null if the tensor lies beside the job. */
  readonly inputs: readonly (TensorHead & { readonly data: string | null })[];
}

/** A decoded job. */
export interface WireJob {
  readonly wire: number;
  readonly replyTo: string;
  readonly items: readonly WireItem[];
}

/** A job that cannot be read, with as much of its envelope as could be. */
export interface UnreadableJob {
  readonly replyTo: string | undefined;
  readonly items: readonly Keeping[];
  readonly reason: string;
}

/** Encodes a job for the queue. `payload` has its large tensors, by field of the payload's hash. */
export function encodeJob({ replyTo, items }: BatchJob): {
  job: PackedJob;
  payload: ReadonlyMap<string, Buffer>;
} {
  const payload = new Map<string, Buffer>();
  const layouts = new Layouts();
  const encodeData = (itemId: string, { name, data }: Tensor): string | null => {
    if (data.byteLength <= inlineBytesMax) return toBuffer(data).toString('base64');
    // Buffers, because ioredis would write any other array of bytes as a text.
    payload.set(payloadField(itemId, name), toBuffer(data));
    return null;
  };
  // Built key by key, here and in `joinItem`, because V8 is slow at object rest and spread.
  const encodeItem = (item: Item) => ({
    id: item.id,
    submittedAt: item.submittedAt,
    deadlineAt: item.deadlineAt,
    layout: layouts.indexOf(item.inputs),
    data: item.inputs.map((tensor) => encodeData(item.id, tensor)),
    top: item.top,
    outputs: item.outputs && [...item.outputs],
    keepMs: item.keepMs,
    keepFor: item.keepFor,
    keepBytesMax: item.keepBytesMax,
    trace: item.trace,
  });
  const packedItems = items.map(encodeItem);
  const job = { wire: wireVersion, replyTo, layouts: layouts.list, items: packedItems };
  return { job: job as unknown as PackedJob, payload };
}

/** Parses a job's data from the queue. Never throws. */
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
    const { id, submittedAt, deadlineAt, top, outputs, keepMs, keepFor, keepBytesMax } = item;
    const trace = item.trace as TraceContext | undefined;
    if (!isCount(top)) return unreadable(data, `items.${index}.top: it is no count of classes`);
    wireItems.push({
      id,
      submittedAt,
      deadlineAt,
      inputs,
      top,
      outputs,
      keepMs,
      keepFor,
      keepBytesMax,
      trace,
    });
  }
  return { wire, replyTo, items: wireItems };
}

function isCount(top: number | undefined): boolean {
  return top === undefined || (Number.isSafeInteger(top) && top > 0);
}

export function isUnreadable(job: WireJob | UnreadableJob): job is UnreadableJob {
  return 'reason' in job;
}

/** Returns the fields of the payload's hash that hold these items' large tensors, in order. */
export function payloadFields(items: readonly WireItem[]): string[] {
  return items.flatMap(({ id, inputs }) =>
    inputs.filter(({ data }) => data === null).map(({ name }) => payloadField(id, name)),
  );
}

/**
 * Joins an item with its tensors. Returns undefined if a tensor beside the job is gone: the payload
 * has expired, so the item is past its deadline.
 * @throws ScorelineError `wire_mismatch` if a tensor does not match its shape
 */
export function joinItem(
  item: WireItem,
  payload: ReadonlyMap<string, Uint8Array>,
): Item | undefined {
  const { id, submittedAt, deadlineAt, top, outputs, keepMs, keepFor, keepBytesMax, trace } = item;
  const inputs: Tensor[] = [];
  for (const { name, datatype, shape, data: text } of item.inputs) {
    const data = text === null ? payload.get(payloadField(id, name)) : Buffer.from(text, 'base64');
    if (data === undefined) return undefined;
    inputs.push(checkWireTensor({ name, datatype, shape, data }));
  }
  return {
    id,
    submittedAt,
    deadlineAt,
    inputs,
    top,
    outputs,
    keepMs,
    keepFor,
    keepBytesMax,
    trace,
  };
}

/** @throws ScorelineError `wire_mismatch` if the tensor does not match its shape */
export function checkWireTensor(tensor: Tensor): Tensor {
  if (!(tensor.data instanceof Uint8Array)) throw wireMismatch('the data of a tensor is no bytes');
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
  return { replyTo, items, reason };
}

function payloadField(itemId: string, tensor: string): string {
  return `${itemId}/${tensor}`;
}
