// Replies: what workers tell the API, by its stream. They travel, and are kept, in MessagePack, where
// bytes stay bytes. Replies of one layout share it (layouts.ts).

import { Packr } from 'msgpackr';
import { z } from 'zod';
import { coerceError, type ErrorCode } from './errors.js';
import { checkWireTensor, wireMismatch } from './job.js';
import { Layouts, layOut, layoutsSchema } from './layouts.js';
import type { Tensor } from './tensors.js';
import { readableWireVersions, wireVersion } from './wire-version.js';

/** Milliseconds, but for the batch size. */
export interface Timing {
  /** From the submission to the moment a worker took the item. */
  readonly queueMs: number;
  /** From there to the start of the batch. */
  readonly batchMs: number;
  /** The model's run, for the whole batch. */
  readonly computeMs: number;
  readonly batchSize: number;
}

/** What comes of an item: named tensors, or an error. */
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
  layouts: layoutsSchema,
  replies: z.array(
    z.object({
      id: z.string(),
      layout: z.number().optional(),
      data: z.array(z.instanceof(Uint8Array)).optional(),
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

/** What every version of packed replies has. */
const packedIdsSchema = z.object({ replies: z.array(z.object({ id: z.string() })) });

const packr = new Packr({ useRecords: false });

/** Replies as they travel and are kept. `wire` is the version of the job they answer. */
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

/** @throws ScorelineError `wire_mismatch` */
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

/** The items that unreadable replies are for, as far as can be told. */
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
  if (!outputs || !timing) throw wireMismatch(`the reply to ${id} is no reply`);
  for (const tensor of outputs) checkWireTensor(tensor);
  return isKept ? { id, outputs, timing, isKept } : { id, outputs, timing };
}
