import { expect, test } from 'vitest';
import { nowMs } from '../../shared/clock.js';
import { encodeJob } from '../../shared/job.js';
import { makeLogger } from '../../shared/log.js';
import { encodeStrings } from '../../shared/tensors.js';
import type { Quarantine } from '../../worker/quarantine/quarantine.js';
import { makeConsumer } from '../../worker/queue/consumer.js';
import {
  GivenBack,
  type Queue,
  type TakenJob,
  type TakeOptions,
} from '../../worker/queue/queue.js';
import { makeSampleModel } from './sample-model.js';

test('a suspect job that lost its lock is not completed if it cannot be given back', async () => {
  let release = () => {};
  const quarantine: Quarantine = {
    // The quarantine is busy with another job until `release` is called.
    inTurn: (work) =>
      new Promise<void>((resolve) => {
        release = resolve;
      }).then(() => work({ open: async () => {}, score: async () => undefined })),
    close: () => {},
  };
  let taker: TakeOptions | undefined;
  const queue = {
    take: (options: TakeOptions) => {
      taker = options;
      return { setJobsMax: () => {}, close: async () => {} };
    },
  } as unknown as Queue;
  const consumer = makeConsumer({
    model: makeSampleModel(),
    scorer: { score: () => Promise.reject(new Error('The scorer must not be called.')) },
    queue,
    quarantine,
    kept: { find: async () => new Map(), keep: async (_items, replies) => replies },
    sendReplies: async () => {},
    log: makeLogger({ role: 'test', level: 'silent' }),
  });

  const job: TakenJob = {
    id: 'job',
    data: encodeJob({
      replyTo: 'api',
      items: [
        {
          id: 'a',
          submittedAt: nowMs(),
          deadlineAt: nowMs() + 60_000,
          top: 1,
          inputs: [{ name: 'input', datatype: 'BYTES', shape: [1], data: encodeStrings(['a']) }],
        },
      ],
    }).job,
    isSuspect: true,
    giveBack: () => Promise.reject(new Error('Missing lock for job job.')),
  };
  const first = expect(taker?.process(job)).rejects.toThrow(GivenBack);
  // The job is delivered again, with a new lock.
  const second = expect(taker?.process(job)).rejects.toThrow(GivenBack);
  const closed = consumer.close(60_000);
  release();
  await Promise.all([first, second, closed]);
});
