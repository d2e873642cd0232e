import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { expect, onTestFinished, test } from 'vitest';
import { hashApiKey } from '../../api/access/api-key.js';
import { ApiKeyStore } from '../../api/access/api-key-store.js';
import { makeTemporary } from '../../cli/temporary.js';
import { makeKeys } from '../../shared/redis/keys.js';
import { openRedis, root } from '../harness.js';
import { runKeys } from '../keys-command.js';

/** A program that makes each wait endless. */
const waitForEver = `
import timers from 'node:timers/promises';
import { syncBuiltinESMExports } from 'node:module';
timers.setTimeout = () => new Promise(() => setInterval(() => {}, 1000));
syncBuiltinESMExports();`;

test('shows a new key before it waits until the key counts', async () => {
  const redis = await openRedis();
  onTestFinished(() => redis.close());
  const environment = { REDIS_URL: redis.url, QUEUE_PREFIX: 'shown' };
  const { stdout: former } = await runKeys(environment, 'create', 'a');
  const command = spawn(
    process.execPath,
    [
      ...['--import', `data:text/javascript,${encodeURIComponent(waitForEver)}`],
      ...[path.join(root, 'dist/cli/keys.js'), 'rotate', former.split('_')[1] as string],
    ],
    { env: { ...process.env, ...environment }, stdio: ['ignore', 'pipe', 'ignore'] },
  );
  onTestFinished(() => void command.kill('SIGKILL'));
  const [shown] = await once(command.stdout, 'data');
  const { records } = await new ApiKeyStore(redis.client, makeKeys('shown')).read();
  expect(records[0]?.sha256).toBe(hashApiKey(String(shown)).toString('hex'));
});

test('without a Redis, is told to run npm start', async () => {
  const folder = makeTemporary('keys');
  // An npm start that was killed leaves its port behind.
  mkdirSync(path.join(folder, 'redis'));
  writeFileSync(path.join(folder, 'redis/port'), '1');
  await expect(runKeys({ REDIS_URL: '', DATA_DIR: folder }, 'list')).rejects.toMatchObject({
    stderr: expect.stringMatching(/got connect ECONNREFUSED 127.0.0.1:1. Run npm start, with/),
  });
});
