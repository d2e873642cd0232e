// The Redis of the tests is the same to them, be it a process or a container.

import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { describe, expect, test } from 'vitest';
import { findDockerProblem, hasImage } from '../../cli/docker/docker.js';
import { redisImage } from '../redis/choice.js';
import { makeContainer } from '../redis/container.js';
import { makeProcess } from '../redis/process.js';
import { openRedis } from '../redis/redis.js';

const problem =
  (await findDockerProblem()) ??
  ((await hasImage(redisImage)) ? undefined : `the image ${redisImage} is not here`);

describe.each([
  { what: 'process', make: makeProcess, why: undefined },
  { what: 'container', make: makeContainer(), why: problem },
])('a Redis in a $what', ({ make, why }) => {
  test('keeps port and data over its ends, and loses the data when told', async (context) => {
    if (why !== undefined) context.skip(why);
    const redis = await openRedis({ make, parameters: ['--maxmemory', '123mb'] });
    const { client } = redis;
    try {
      expect(await client.config('GET', 'maxmemory')).toEqual([
        'maxmemory',
        String(123 * 1024 ** 2),
      ]);
      await client.set('kept', 'yes');
      await redis.stop();
      await redis.stop();
      await expect(connect(redis.url)).rejects.toThrow(/ECONNREFUSED|closed/);
      await redis.start();
      expect(await client.get('kept')).toBe('yes');
      await redis.stop('SIGKILL');
      await redis.start();
      expect(await client.get('kept')).toBe('yes');
      const resume = await redis.suspend();
      const slow = client.get('kept');
      await expect(Promise.race([slow, delay(300, 'nothing')])).resolves.toBe('nothing');
      await resume();
      expect(await slow).toBe('yes');
      await redis.stop('SIGKILL');
      await redis.startEmpty();
      expect(await client.get('kept')).toBe(null);
      expect(await client.config('GET', 'maxmemory')).toEqual([
        'maxmemory',
        String(123 * 1024 ** 2),
      ]);
    } finally {
      await redis.close();
    }
  });
});

async function connect(url: string): Promise<void> {
  const client = new Redis(url, { lazyConnect: true, retryStrategy: () => null });
  client.on('error', () => {});
  await client.connect();
  client.disconnect();
}
