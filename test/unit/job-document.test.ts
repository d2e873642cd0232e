import { expect, test } from 'vitest';
import { writeJob } from '../../api/jobs/job-document.js';
import type { JobRecord } from '../../api/jobs/job-record.js';
import { writeEvent } from '../../api/webhooks/event.js';
import type { ScoredReply } from '../../shared/wire/reply.js';
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
const succeeded = (widths: readonly number[]) => {
  const replies = widths.map((width, at) => replyOf(`${at}`, width));
  return { record, state: { state: 'succeeded', replies } } as const;
};
const parts = { kinds: {} as never, model, where: 'here' as const };
const write = (...widths: number[]) => JSON.parse(writeJob(succeeded(widths), parts));
const tell = (widths: readonly number[], kept?: string, bytesMax = 10_000) =>
  writeEvent(succeeded(widths), kept, { ...parts, bytesMax, now: new Date(2000) });

test('a job whose outputs belong together has them as its result', () => {
  expect(write(2, 2)).toMatchObject({
    state: 'succeeded',
    result: { outputs: [{ name: 'y', shape: [2, 2], data: [0, 0, 0, 0] }] },
  });
});

test('a job by V1 has the rows of its outputs, and fails as any other', () => {
  const form = { route: 'predict' as const, outputs: ['y'], isColumnar: false };
  const writeRows = (...widths: number[]) => {
    const { state } = succeeded(widths);
    return JSON.parse(writeJob({ record: { ...record, form }, state }, parts));
  };
  expect(writeRows(2, 2)).toMatchObject({
    state: 'succeeded',
    result: {
      predictions: [
        [0, 0],
        [0, 0],
      ],
    },
  });
  expect(writeRows(2, 3)).toMatchObject({ problem: { code: 'model_output_mismatch' } });
});

test('a job whose outputs do not belong together has failed', () => {
  expect(write(2, 3)).toEqual({
    ...{ id: 'job', state: 'failed', model: 'rows', version: '1' },
    ...{ submittedAt: '1970-01-01T00:00:00.000Z', deadlineAt: '1970-01-01T00:00:01.000Z' },
    problem: expect.objectContaining({ code: 'model_output_mismatch' }),
  });
});

test('a job whose outputs have too many numbers for a list has failed', () => {
  expect(write(4_000_000)).toMatchObject({ state: 'succeeded' });
  expect(write(2_000_000, 2_000_001)).toMatchObject({ state: 'failed' });
  expect(write(4_000_001)).toMatchObject({
    state: 'failed',
    problem: { code: 'result_too_large' },
  });
});

test('a webhook says the same of a job as its document, and where it is', () => {
  for (const widths of [[2, 2], [2, 3], [4_000_001]]) {
    const document = write(...widths);
    const { kept, body } = tell(widths);
    expect(JSON.parse(body)).toEqual({
      type: `job.${document.state}`,
      timestamp: '1970-01-01T00:00:02.000Z',
      data: { ...document, location: '/v1/jobs/job' },
    });
    expect(tell(widths, kept)).toEqual({ kept, body });
  }
});

test('a webhook is without a result for which it has no room, or that is gone', () => {
  const { kept, body } = tell([2, 2]);
  expect(kept.length).toBeLessThan(body.length);
  expect(tell([2, 2], undefined, Buffer.byteLength(body)).body).toBe(body);
  expect(tell([2, 2], undefined, Buffer.byteLength(body) - 1).body).toBe(kept);
  const expired = { record, state: { state: 'expired' } } as const;
  const later = { ...parts, bytesMax: 10_000, now: new Date(9000) };
  expect(writeEvent(expired, kept, later).body).toBe(kept);
  const withoutModel = writeEvent(succeeded([2, 2]), undefined, { ...later, model: undefined });
  expect(JSON.parse(withoutModel.body)).toMatchObject({
    type: 'job.expired',
    data: { state: 'expired' },
  });
});
