import { expect, test } from 'vitest';
import { writeJob } from '../../api/jobs/job-document.js';
import type { JobRecord } from '../../api/jobs/job-record.js';
import type { ScoredReply } from '../../api/queue/waiters.js';
import { makeSampleModel } from './sample-model.js';

const model = makeSampleModel({ name: 'rows' });
const record: JobRecord = {
  ...{ id: 'job', caller: 'ada', model: 'rows', version: '1', queue: model.queue, queued: 'x' },
  ...{ items: ['a', 'b'], submittedAt: 0, deadlineAt: 1000, keepMs: 1000 },
  priority: 'interactive',
  form: { route: 'inference', outputs: [{ name: 'y', classes: 0 }] },
};
const replyOf = (id: string, width: number): ScoredReply => ({
  id,
  outputs: [{ name: 'y', datatype: 'FP32', shape: [1, width], data: new Uint8Array(4 * width) }],
  timing: { queueMs: 1, batchMs: 1, computeMs: 1, batchSize: 1 },
});
const write = (...widths: number[]) => {
  const replies = widths.map((width, at) => replyOf(`${at}`, width));
  const problemOf = ({ code }: { code: string }) => ({ code });
  const state = { state: 'succeeded', replies } as const;
  return JSON.parse(writeJob({ record, state }, { kinds: {} as never, model, problemOf }));
};

test('a job whose outputs belong together has them as its result', () => {
  expect(write(2, 2)).toMatchObject({
    state: 'succeeded',
    result: { outputs: [{ name: 'y', shape: [2, 2], data: [0, 0, 0, 0] }] },
  });
});

test('a job whose outputs do not belong together has failed', () => {
  expect(write(2, 3)).toEqual({
    ...{ id: 'job', state: 'failed', model: 'rows', version: '1' },
    ...{ submittedAt: '1970-01-01T00:00:00.000Z', deadlineAt: '1970-01-01T00:00:01.000Z' },
    problem: { code: 'model_output_mismatch' },
  });
});
