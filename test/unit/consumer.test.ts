import { expect, test } from 'vitest';
import { nowMs } from '../../shared/clock.js';
import { makeLogger } from '../../shared/process/log.js';
import { encodeStrings } from '../../shared/tensors/tensors.js';
import { encodeJob } from '../../shared/wire/job.js';
import type { Quarantine } from '../../worker/quarantine/quarantine.js';
import { makeConsumer } from '../../worker/queue/consumer.js';
import {
  GivenBack,
  type Queue,
  type TakenJob,
  type TakeOptions,
} from '../../worker/queue/queue.js';
import { makeSampleModel } from './sample-model.js';

/** Makes a consumer whose quarantine is busy with another job until `release` is called, and a suspect job. */
function openBusyConsumer({ giveBack }: Pick<TakenJob, 'giveBack'>) {
  let release = () => {};
  const quarantine: Quarantine = {
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
    losses: 1,
    giveBack,
  };
  return { consumer, process: () => taker?.process(job), release: () => release() };
}

test('a suspect job that lost its lock is not completed if it cannot be given back', async () => {
  const giveBack = () => Promise.reject(new Error('Missing lock for job job.'));
  const { consumer, process, release } = openBusyConsumer({ giveBack });
  const first = expect(process()).rejects.toThrow(GivenBack);
  // The job is delivered again, with a new lock.
  const second = expect(process()).rejects.toThrow(GivenBack);
  const closed = consumer.close(60_000);
  release();
  await Promise.all([first, second, closed]);
});

test('a suspect job whose turn comes while it is being given back is not completed', async () => {
  let giveBack = () => {};
  const givenBack = new Promise<void>((resolve) => {
    giveBack = resolve;
  });
  const { consumer, process, release } = openBusyConsumer({ giveBack: () => givenBack });
  const processed = expect(process()).rejects.toThrow(GivenBack);
  const closed = consumer.close(60_000);
  release();
  await processed;
  giveBack();
  await closed;
});
