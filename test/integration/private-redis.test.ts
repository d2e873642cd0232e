import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Redis } from 'ioredis';
import { expect, onTestFinished, test, vi } from 'vitest';
import { startRedis } from '../../cli/redis/private-redis.js';
import { ensureRedisServer, findFreePort } from '../../cli/redis/redis.js';
import { useRedis } from '../../shared/redis/node.js';
import { waitUntil } from '../harness.js';
import { makeFolder, writeFolder } from '../unit/sample-model.js';

async function start(directory = writeFolder({})) {
  const said: string[] = [];
  const options = { directory, say: (line: string) => said.push(line) };
  const redis = await startRedis({ server: ensureRedisServer(() => {}), ...options });
  const client = new Redis(redis.tcpUrl, { maxRetriesPerRequest: null, retryStrategy: () => 20 });
  client.on('error', () => {});
  onTestFinished(async () => {
    client.disconnect();
    await redis.kill();
    rmSync(directory, { recursive: true });
  });
  /** The process of redis-server. */
  const pid = async () => Number(/process_id:(\d+)/.exec(await client.info('server'))?.[1]);
  return { directory, said, redis, client, pid };
}

test('a private Redis that dies is started again on its data, after pauses that grow', async () => {
  const { said, client, pid } = await start();
  await client.set('kept', 'yes');
  for (const deaths of [1, 2]) {
    process.kill(await pid(), 'SIGKILL');
    const runs = () => said.filter((line) => line === 'Redis runs again.').length;
    await waitUntil('it runs again', () => runs() === deaths);
    expect(await client.get('kept')).toBe('yes');
  }
  expect(said).toEqual([
    'Redis has died (by SIGKILL). It is started again now, on the same data.',
    'Redis runs again.',
    'Redis has died (by SIGKILL). It is started again in 0.5 s, on the same data.',
    'Redis runs again.',
  ]);
});

test('a private Redis has a socket, which works again after it died, and leaves nothing behind', async () => {
  const { said, redis, pid } = await start();
  const folder = path.dirname(redis.url.replace('unix://', ''));
  expect(statSync(folder).mode & 0o777).toBe(0o700);
  await useRedis({ url: redis.url, prefix: 'x' }, (near) => near.set('kept', 'yes'));
  process.kill(await pid(), 'SIGKILL');
  await waitUntil('it runs again', () => said.includes('Redis runs again.'));
  const kept = await useRedis({ url: redis.url, prefix: 'x' }, (near) => near.get('kept'));
  expect(kept).toBe('yes');
  await redis.close();
  expect(existsSync(folder)).toBe(false);
});

test('a private Redis is started again, with its socket, after the folder of that was removed', async () => {
  const { said, redis, pid } = await start();
  rmSync(path.dirname(redis.url.replace('unix://', '')), { recursive: true });
  process.kill(await pid(), 'SIGKILL');
  await waitUntil('it runs again', () => said.includes('Redis runs again.'));
  await useRedis({ url: redis.url, prefix: 'x' }, (near) => near.ping());
});

test('a private Redis that does not start leaves no folder of a socket', async () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'scoreline-a@b#c?-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  vi.stubEnv('TMPDIR', folder);
  onTestFinished(() => void vi.unstubAllEnvs());
  const { redis } = await start();
  await useRedis({ url: redis.url, prefix: 'x' }, (near) => near.ping());
  await redis.close();
  const directory = path.join(folder, 'data');
  await expect(startRedis({ server: '/bin/false', directory, say: () => {} })).rejects.toThrow(
    'did not start',
  );
  expect(readdirSync(folder).filter((name) => name.startsWith('scoreline-redis'))).toEqual([]);
});

test('a private Redis whose folder cannot be written to says so', async () => {
  const start = (directory: string) =>
    startRedis({ server: ensureRedisServer(() => {}), directory, say: () => {} });
  const expected = 'DATA_DIR: expected a folder that can be written to; got ';
  const file = path.join(makeFolder({ file: '' }), 'file');
  await expect(start(file)).rejects.toThrow(`${expected}${file} (EEXIST)`);
  const closed = makeFolder({});
  symlinkSync('nowhere/port', path.join(closed, 'port'));
  await expect(start(closed)).rejects.toThrow(`${expected}${closed} (ENOENT)`);
});

test('a private Redis has only a port where there can be no socket', async () => {
  const folder = path.join(writeFolder({}), 'x'.repeat(90));
  mkdirSync(folder);
  onTestFinished(() => rmSync(path.dirname(folder), { recursive: true }));
  onTestFinished(() => void vi.unstubAllEnvs());
  for (const temporary of [folder, path.join(folder, 'missing')]) {
    const directory = makeFolder({});
    vi.stubEnv('TMPDIR', temporary);
    const { redis, client } = await start(directory);
    vi.unstubAllEnvs();
    expect(redis.url).toBe(redis.tcpUrl);
    expect(await client.ping()).toBe('PONG');
  }
});

test('a private Redis refuses a second one on its data, by another name and while it loads them', async () => {
  const { directory, redis, client } = await start();
  const name = path.join(makeFolder({}), 'name');
  symlinkSync(directory, name);
  const server = ensureRedisServer(() => {});
  const second = () => startRedis({ server, directory: name, say: () => {} });
  await expect(second()).rejects.toThrow('already running here');

  await client.eval("for i = 1, 1200 do redis.call('SET', i, i) end", 0);
  await redis.close();
  const log = path.join(directory, 'redis.log');
  rmSync(log);
  const slow = path.join(makeFolder({}), 'redis-server');
  writeFileSync(slow, `#!/bin/sh\nexec ${server} "$@" --key-load-delay 500\n`, { mode: 0o755 });
  const loading = startRedis({ server: slow, directory, say: () => {} });
  onTestFinished(async () => (await loading).kill());
  const said = () => (existsSync(log) ? readFileSync(log, 'utf8') : '');
  await waitUntil('it listens', () => said().includes('Server initialized'));
  await expect(second()).rejects.toThrow('already running here');
  await loading;
});

test('of two that start on the same data at the same moment, one is refused', async () => {
  const directory = makeFolder({});
  const server = ensureRedisServer(() => {});
  const starts = [1, 2].map(() => startRedis({ server, directory, say: () => {} }));
  const settled = await Promise.allSettled(starts);
  onTestFinished(async () => {
    for (const each of settled) if (each.status === 'fulfilled') await each.value.kill();
  });
  expect(settled.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
  const refused = settled.find((each) => each.status === 'rejected');
  expect(String(refused?.reason)).toContain('already running here');
  expect(existsSync(path.join(directory, 'starting'))).toBe(false);
});

test('a private Redis that cannot be started again is given up, with the reason', async () => {
  const { directory, redis, pid } = await start();
  writeFileSync(path.join(directory, 'appendonlydir/appendonly.aof.manifest'), 'damaged');
  process.kill(await pid(), 'SIGKILL');
  const { message } = await redis.failed;
  expect(message).toMatch(/could not be started again in 4 attempts: .*with exit code 1/);
  const [, file] = /(\S*redis\.log) says why/.exec(message) ?? [];
  expect(readFileSync(file as string, 'utf8')).toMatch(/manifest/);
});

test('a private Redis that hangs is stopped all the same, and keeps its data', async () => {
  const { directory, redis, client, pid } = await start();
  await client.set('kept', 'yes');
  process.kill(await pid(), 'SIGSTOP');
  await redis.close();
  const server = ensureRedisServer(() => {});
  const again = await startRedis({ server, directory, say: () => {} });
  onTestFinished(() => again.kill());
  const reader = new Redis(again.tcpUrl);
  expect(await reader.get('kept')).toBe('yes');
  reader.disconnect();
});

test('a private Redis starts at once after a start that was killed', async () => {
  const directory = makeFolder({});
  const module = new URL('../../cli/redis/private-redis.js', import.meta.url).href;
  const folder = makeFolder({
    'start.mjs': `import { startRedis } from ${JSON.stringify(module)};
      const [server, directory] = process.argv.slice(2);
      await startRedis({ server, directory, say() {} });`,
    // It never listens.
    'redis-server': '#!/bin/sh\ntouch started\nexec sleep 60\n',
  });
  const server = path.join(folder, 'redis-server');
  chmodSync(server, 0o755);
  const parameters = [path.join(folder, 'start.mjs'), server, directory];
  const first = spawn(process.execPath, parameters, { cwd: folder });
  await waitUntil('its server runs', () => existsSync(path.join(folder, 'started')));
  first.kill('SIGKILL');
  const startedAt = performance.now();
  await start(directory);
  expect(performance.now() - startedAt).toBeLessThan(10_000);
});

test('a private Redis stops if the process that asked for it is gone before it listens', async () => {
  const directory = makeFolder({});
  const parameters = [ensureRedisServer(() => {}), directory, String(await findFreePort())];
  const guard = fork(new URL('../../cli/redis/guard.js', import.meta.url), parameters);
  guard.disconnect();
  expect(await once(guard, 'exit')).toEqual([1, null]);
});

test('a machine that has only Valkey runs its server', async () => {
  const folder = makeFolder({});
  const valkey = path.join(folder, 'valkey-server');
  symlinkSync(
    ensureRedisServer(() => {}),
    valkey,
  );
  vi.stubEnv('PATH', folder);
  onTestFinished(() => void vi.unstubAllEnvs());
  const redis = await startRedis({
    server: ensureRedisServer(() => {}),
    directory: path.join(folder, 'data'),
    say: () => {},
  });
  onTestFinished(() => redis.kill());
  expect(ensureRedisServer(() => {})).toBe(valkey);
});
