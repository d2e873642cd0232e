import { expect, test } from 'vitest';
import type { Reply } from '../../shared/wire/reply.js';
import { type Answering, answer, type HeldItem } from '../../worker/queue/answering.js';
import { inEntries, replyBytesMax } from '../../worker/queue/replies.js';

const timing = { queueMs: 0, batchMs: 0, computeMs: 1, batchSize: 1 };
const outputsOf = (bytes: number) => {
  const data = new Uint8Array(bytes);
  return [{ name: 'y', datatype: 'UINT8', shape: [1, bytes], data } as const];
};
const replyOf = (id: string, bytes: number): Reply => ({ id, outputs: outputsOf(bytes), timing });
const idsOf = (entries: readonly (readonly Reply[])[]) =>
  entries.map((entry) => entry.map(({ id }) => id).join(''));

test('replies share an entry unless Redis would not take it', () => {
  const small = [...'abcd'].map((id) => replyOf(id, 10));
  expect(idsOf(inEntries(small))).toEqual(['abcd']);
  const large = replyOf('L', 200_000_000);
  const failed: Reply = { id: 'f', error: { code: 'model_failed', detail: '' } };
  expect(idsOf(inEntries([large, failed, large, large, failed]))).toEqual(['LfL', 'Lf']);
});

test('outputs that are too large for a reply are its error, and the others are answered', async () => {
  const sent: Reply[] = [];
  const answering = {
    kept: { keep: async (_: unknown, replies: readonly Reply[]) => replies },
    queue: {},
    sendReplies: async (replies: ReadonlyMap<string, readonly Reply[]>) => {
      sent.push(...[...replies.values()].flat());
    },
  } as unknown as Answering;
  const item = { takenAt: 2, submittedAt: 1, deadlineAt: 3, replyTo: 'api' } as HeldItem;
  const results = [10, replyBytesMax + 1].map((bytes) => ({ outputs: outputsOf(bytes) }));
  const items = ['a', 'b'].map((id) => ({ ...item, id }));
  await answer(answering, items, results, { startedAt: 2, computeMs: 1, batchSize: 2 });
  expect(sent).toMatchObject([
    { id: 'a', timing: { batchSize: 2 } },
    {
      id: 'b',
      error: {
        code: 'result_too_large',
        detail: expect.stringContaining(`at most ${replyBytesMax} bytes`),
      },
    },
  ]);
});
