// Replies: the messages that workers send to an API instance through its stream. They travel and
// are kept in MessagePack, which holds bytes as bytes. Replies of the same layout share it
// (layouts.ts).

import { Packr } from 'msgpackr';
import { z } from 'zod';
import { coerceError, type ErrorCode } from '../errors.js';
import type { Tensor } from '../tensors/tensors.js';
import { checkWireTensor, wireMismatch } from './job.js';
import { Layouts, layOut, layoutsSchema } from './layouts.js';
import { readableWireVersions, wireVersion } from './version.js';

/** Where an item's time went, in milliseconds, and the size of its batch in rows. */
export interface Timing {
  /** From the item's submission until a worker took it. */
  readonly queueMs: number;
  /** From then until its batch started. */
  readonly batchMs: number;
  /** The model's run of the whole batch. */
  readonly computeMs: number;
  readonly batchSize: number;
}

/** The reply to one item: named output tensors, or an error. */
export type Reply =
  | {
      readonly id: string;
      readonly outputs: readonly Tensor[];
      readonly timing: Timing;
      /** Whether the reply was kept from an earlier request. Its timing is that request's. */
      readonly isKept?: boolean | undefined;
    }
  | { readonly id: string; readonly error: { readonly code: ErrorCode; readonly detail: string } };

/** The reply to an item that was scored. */
export type ScoredReply = Extract<Reply, { outputs: unknown }>;

// One object with optional parts, because a union takes twice as long to parse.
const packedSchema = z.object({
  wire: z.literal(readableWireVersions),
  layouts: layoutsSchema,
  replies: z.array(
    z.object({
      id: z.string(),
      layout: z.number().optional(),
      // `z.instanceof` takes as long as all the rest; `checkWireTensor` looks at the bytes.
      data: z.array(z.any()).optional(),
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

type PackedReply = z.output<typeof packedSchema>['replies'][number];

/** The part of packed replies that every wire version has. */
const packedIdsSchema = z.object({ replies: z.array(z.object({ id: z.string() })) });

const packr = new Packr({ useRecords: false });

/** Packs replies, to be sent or kept. `wire` is the version of the job that they answer. */
export function packReplies(replies: readonly Reply[], wire = wireVersion): Buffer {
  const layouts = new Layouts();
  const packed = replies.map((reply) => {
    if ('error' in reply) return reply;
    const { id, outputs, timing, isKept } = reply;
    const data = outputs.map((output) => output.data);
    const layout = layouts.indexOf(outputs);
    return isKept ? { id, layout, data, timing, isKept } : { id, layout, data, timing };
  });
  return packr.pack({ wire, layouts: layouts.list, replies: packed });
}

/** How many of the first bytes of packed replies `surelyHasOutputs` looks at. */
export const headBytes = 48;

/** Packed replies up to the number of their layouts. Only outputs have some. */
const heads = readableWireVersions.map((wire) => {
  const end = packr.pack({ layouts: [], replies: [] }).length - packr.pack({}).length;
  const whole = packr.pack({ wire, layouts: [], replies: [] });
  return whole.subarray(0, whole.length - end + packr.pack('layouts').length);
});

/** Whether the first bytes of a packed reply show that it is no error. Those of another build may not show it. */
export function surelyHasOutputs(bytes: Buffer): boolean {
  return heads.some((head) => {
    const count = bytes[head.length] ?? 0;
    return bytes.subarray(0, head.length).equals(head) && count > 0x90 && count < 0xa0;
  });
}

/** @throws ScorelineError `wire_mismatch` if the bytes are not replies of a readable version */
export function unpackReplies(bytes: Uint8Array): readonly Reply[] {
  let packed: unknown;
  try {
    packed = packr.unpack(bytes);
  } catch (thrown) {
    throw wireMismatch(coerceError(thrown).message);
  }
  const parsed = packedSchema.safeParse(packed);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw wireMismatch(`${issue?.path.join('.')}: ${issue?.message}`);
  }
  const { layouts, replies } = parsed.data;
  return replies.map((reply) => unpackReply(reply, layouts));
}

/**
 * Returns the ids of the items that unreadable replies answer, or none if they are unreadable too.
 */
export function idsOfReplies(bytes: Uint8Array): string[] {
  try {
    const { replies } = packedIdsSchema.parse(packr.unpack(bytes));
    return replies.map(({ id }) => id);
  } catch {
    return [];
  }
}

function unpackReply(reply: PackedReply, layouts: z.output<typeof layoutsSchema>): Reply {
  const { id, layout, data, timing, isKept, error } = reply;
  // A worker of a later release may send codes that this release does not know; see `errorOfReply`.
  if (error) return { id, error: error as { code: ErrorCode; detail: string } };
  const outputs = layOut(layouts[layout ?? -1], data ?? []);
  if (!outputs || !timing) throw wireMismatch(`the reply to ${id} lacks outputs or timing`);
  for (const tensor of outputs) checkWireTensor(tensor);
  return isKept ? { id, outputs, timing, isKept } : { id, outputs, timing };
}
