// Tests the parts of webhooks that need no Redis.

import { Webhook } from 'standardwebhooks';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { JobEnds } from '../../api/jobs/job-ends.js';
import type { JobRecord } from '../../api/jobs/job-record.js';
import { pauseMs, pauseMsMax, readRetryAfterMs } from '../../api/webhooks/backoff.js';
import { follow, nextLookAt } from '../../api/webhooks/courier.js';
import { makePoster } from '../../api/webhooks/post.js';
import { sign } from '../../api/webhooks/signature.js';
import { openReceiver, type ReceiverAnswer } from '../../chaos/receiver.js';
import { openPeer } from '../peer.js';

const record = (items: string[]) =>
  ({ id: 'job', items, deadlineAt: 1e15, webhook: 'http://localhost/' }) as unknown as JobRecord;

describe('a signature', () => {
  test('by each secret is right for the library of Standard Webhooks', () => {
    const keys = [Buffer.alloc(24, 1), Buffer.alloc(64, 2)];
    const secrets = keys.map((key) => ({ host: undefined, key }));
    const body = JSON.stringify({ type: 'job.succeeded', text: 'ä€😀' });
    const headers = sign({ id: 'msg_1', body }, secrets, new Date());
    for (const key of keys) {
      const verifier = new Webhook(`whsec_${key.toString('base64')}`);
      expect(verifier.verify(body, headers)).toEqual(JSON.parse(body));
      expect(() => verifier.verify(`${body} `, headers)).toThrow(/No matching signature/);
    }
    const other = new Webhook(Buffer.alloc(24, 3).toString('base64'));
    expect(() => other.verify(body, headers)).toThrow(/No matching signature/);
  });
});

describe('the pause after a failed attempt', () => {
  test('grows to an hour, and is spread by a quarter', () => {
    const middle = Array.from({ length: 9 }, (_, at) => pauseMs(at + 1, 0, 0.5));
    expect(middle).toEqual([
      ...[1000, 4000, 16_000, 64_000, 256_000, 1_024_000],
      ...[pauseMsMax, pauseMsMax, pauseMsMax],
    ]);
    expect([pauseMs(2, 0, 0), pauseMs(2, 0, 1)]).toEqual([3000, 5000]);
  });

  test('is as long as Retry-After says, up to an hour', () => {
    const now = new Date('2026-01-01T00:00:00Z');
    expect(readRetryAfterMs('120', now)).toBe(120_000);
    expect(readRetryAfterMs('Thu, 01 Jan 2026 00:00:30 GMT', now)).toBe(30_000);
    expect(readRetryAfterMs('Wed, 31 Dec 2025 23:59:30 GMT', now)).toBe(0);
    for (const text of [undefined, 'soon', '-1']) {
      expect(readRetryAfterMs(text, now) ?? 0).toBe(0);
    }
    expect(pauseMs(1, 120_000, 0.5)).toBe(120_000);
    expect(pauseMs(1, readRetryAfterMs('9'.repeat(20), now), 0.5)).toBe(pauseMsMax);
    expect(pauseMs(1, 1e9, 0.5)).toBe(pauseMsMax);
  });

  test('ends with the last attempt, or when the receiver is gone', () => {
    const refused = { outcome: 'refused', detail: 'the receiver answered 500' } as const;
    expect(follow({ attempts: 0 }, refused, 2)).toMatchObject({ state: 'retrying', attempts: 1 });
    expect(follow({ attempts: 1 }, refused, 2)).toMatchObject({ state: 'dead', attempts: 2 });
    const gone = { ...refused, outcome: 'gone' } as const;
    expect(follow({ attempts: 0 }, gone, 2)).toMatchObject({ state: 'dead', attempts: 1 });
    const delivered = { ...refused, outcome: 'delivered' } as const;
    expect(follow({ attempts: 1 }, delivered, 2)).toMatchObject({ state: 'delivered' });
  });
});

test('a job is looked at again after as long as it has waited, and when it has expired', () => {
  const job = { submittedAt: 0, deadlineAt: 100_000 } as JobRecord;
  expect(nextLookAt(job, 1000)).toBe(6000);
  expect(nextLookAt(job, 20_000)).toBe(40_000);
  expect(nextLookAt(job, 90_000)).toBe(101_001);
  expect(nextLookAt(job, 102_000)).toBe(107_000);
});

describe('the end of a job', () => {
  let held = 0;
  const hold = () => {
    held++;
    return () => {
      held--;
    };
  };
  beforeEach(() => {
    held = 0;
  });

  const listen = () => {
    const ends = new JobEnds();
    const heard: string[] = [];
    ends.listen(({ id }) => heard.push(id));
    return { ends, heard };
  };

  test('is noticed by the reply to each of its items, and no others', () => {
    const { ends, heard } = listen();
    ends.expect(record(['a', 'b']), ['a', 'b'], 0, hold);
    ends.begin(record(['a', 'b']));
    ends.answer('c', true);
    expect(heard).toEqual([]);
    for (const item of ['a', 'b', 'b']) ends.answer(item, true);
    expect([heard, ends.size]).toEqual([['job', 'job'], 0]);
  });

  test('is noticed when its replies came before its record, or with its request', () => {
    const { ends, heard } = listen();
    ends.expect(record(['a']), ['a'], 0, hold);
    ends.answer('a', true);
    ends.begin(record(['a']));
    ends.expect(record(['b']), [], 0, hold);
    ends.begin(record(['b']));
    expect(heard).toEqual(['job', 'job', 'job']);
  });

  test('ends the hold of each item, however it comes', () => {
    const { ends, heard } = listen();
    const silent = { ...record(['a', 'b', 'c']), webhook: undefined };
    ends.expect(silent, ['a', 'b', 'c'], 0, hold);
    ends.expect(silent, ['a'], 0, hold);
    expect(held).toBe(3);
    ends.answer('a', true);
    ends.answer('a', true);
    ends.forget(['b', 'd']);
    expect([held, heard]).toEqual([1, []]);
    ends.end(silent);
    expect([held, heard, ends.size]).toEqual([0, ['job'], 0]);
  });

  test('is no longer waited for some time after the deadline', () => {
    const { ends } = listen();
    ends.expect({ ...record(['a']), deadlineAt: 1000 }, ['a'], 0, hold);
    ends.expect({ ...record(['b']), deadlineAt: 1e6 }, ['b'], 200_000, hold);
    expect([ends.size, held]).toEqual([1, 1]);
  });
});

describe('an attempt', () => {
  const open = async (answer: ReceiverAnswer, networks = ['127.0.0.0/8'], attemptMs = 60_000) => {
    const receiver = await openReceiver(() => answer);
    const { port } = new URL(receiver.origin);
    const origin = `http://hooks.example.com:${port}`;
    const found = [{ address: '127.0.0.1', family: 4 }];
    const poster = makePoster(
      { origin, networks },
      { attemptMs, concurrentMax: 2, resolve: async () => found },
    );
    onTestFinished(async () => {
      poster.close();
      await receiver.close();
    });
    return { receiver, poster, message: { url: `${origin}/x`, body: '{}', headers: {} } };
  };

  test.each([
    [{ status: 204 }, 'delivered', ''],
    [{ status: 500 }, 'refused', 'the receiver answered 500'],
    [{ status: 410 }, 'gone', 'the receiver answered 410: it wants no more webhooks'],
    [
      { status: 307, headers: { location: 'http://169.254.169.254/' } },
      'refused',
      'the receiver answered 307, and redirects are not followed',
    ],
  ])('answered with %j is %s', async (answer, outcome, detail) => {
    const { receiver, poster, message } = await open(answer);
    expect(await poster.post(message)).toMatchObject({ outcome, detail });
    expect(receiver.received).toHaveLength(1);
  });

  test('connects to nobody whose address is not allowed', async () => {
    const { receiver, poster, message } = await open({ status: 200 }, []);
    expect(await poster.post(message)).toMatchObject({
      outcome: 'forbidden',
      detail: expect.stringContaining('leads to 127.0.0.1'),
    });
    const literal = message.url.replace('hooks.example.com', '127.0.0.1');
    expect(await poster.post({ ...message, url: literal })).toMatchObject({ outcome: 'forbidden' });
    expect(receiver.received).toEqual([]);
  });

  test('ends after its time', async () => {
    const { poster, message } = await open('hang', undefined, 50);
    expect(await poster.post(message)).toMatchObject({ outcome: 'timeout' });
  });

  test('is broken off when the poster is closed', async () => {
    const { receiver, poster, message } = await open('hang');
    const attempt = poster.post(message);
    while (receiver.received.length === 0) await new Promise(setImmediate);
    poster.close();
    expect(await attempt).toBeUndefined();
  });

  test('reads no more of an endless answer than it needs', async () => {
    let sent = 0;
    const { url: origin } = await openPeer((response) => {
      const write = () => {
        if (response.destroyed) return;
        sent += 65_536;
        response.write(Buffer.alloc(65_536), () => setImmediate(write));
      };
      write();
    });
    const options = { attemptMs: 60_000, concurrentMax: 1, resolve: async () => [] };
    const poster = makePoster({ origin, networks: ['127.0.0.0/8'] }, options);
    onTestFinished(() => poster.close());
    expect(await poster.post({ url: origin, body: '{}', headers: {} })).toMatchObject({
      outcome: 'delivered',
    });
    expect(sent).toBeLessThan(100_000_000);
  });

  test('by HTTPS at a port without it says so', async () => {
    const { url } = await openPeer((response) => void response.end());
    const origin = url.replace('http:', 'https:');
    const options = { attemptMs: 60_000, concurrentMax: 1, resolve: async () => [] };
    const poster = makePoster({ origin, networks: ['127.0.0.0/8'] }, options);
    onTestFinished(() => poster.close());
    expect(await poster.post({ url: origin, body: '{}', headers: {} })).toEqual({
      outcome: 'unreachable',
      detail: 'the receiver does not speak TLS as expected: wrong version number',
    });
  });

  test('at a host that does not listen is unreachable', async () => {
    const { receiver, poster, message } = await open({ status: 200 });
    await receiver.close();
    expect(await poster.post(message)).toMatchObject({ outcome: 'unreachable' });
  });
});
