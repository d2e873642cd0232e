import { execFileSync, spawn } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { afterEach, describe, expect, onTestFinished, test } from 'vitest';
import { findFreePort } from '../../cli/redis/redis.js';
import { ask, openRedis, post, root, waitUntil } from '../harness.js';
import { listenOnFreePort } from '../peer.js';
import { writeFolder } from '../unit/sample-model.js';

/** What redis-server calls itself. The command of its guard holds its path only. */
const redisServer = 'redis-server 127.0.0.1:';
const directory = writeFolder({});
afterEach(async () => {
  for (const pid of ourProcesses()) kill(pid);
  await waitUntil('all processes are gone', () => ourProcesses().length === 0);
  rmSync(directory, { recursive: true, force: true });
});

describe.skipIf(process.platform !== 'linux')('npm start', () => {
  test('prints curl lines that work, and Ctrl-C leaves nothing running', async () => {
    const started = await start();
    const lines = started.output().match(/^ {2}curl .*$/gm) ?? [];
    expect(lines.length).toBeGreaterThanOrEqual(2);
    for (const line of lines) {
      const answer = JSON.parse(execFileSync('sh', ['-c', line], { cwd: os.tmpdir() }).toString());
      const [{ score, embedding }] = answer.predictions;
      expect(score ?? embedding.length).toBeGreaterThan(0);
    }
    expect(ourProcesses().length).toBeGreaterThanOrEqual(5);

    // The terminal signals npm and its child, and npm passes the signal on, which makes two.
    started.child.kill('SIGINT');
    await waitUntil('it stops', () => started.output().includes('Stopping …'));
    started.child.kill('SIGINT');
    expect(await started.closed).toBe(0);
    expect(ourProcesses()).toEqual([]);
    expect(started.output()).not.toContain('at once.');
  });

  test.each(['its own Redis', 'the Redis of REDIS_URL'])(
    'prints a command that makes a key for this service, with %s',
    async (which) => {
      const redis = which === 'its own Redis' ? undefined : await openRedis();
      onTestFinished(() => redis?.close());
      const started = await start({
        ...{ AUTH: 'keys', MODELS: 'faq-matcher', QUEUE_PREFIX: 'own' },
        ...(redis && { REDIS_URL: redis.url }),
      });
      const [, line = ''] = /Make a key: (.*)$/m.exec(started.output()) ?? [];
      const command = line.replace('npm run keys --', `'${process.execPath}' dist/cli/keys.js`);
      const { DATA_DIR, QUEUE_PREFIX, REDIS_URL, ...env } = process.env;
      const key = execFileSync('sh', ['-c', command], { cwd: root, env, stdio: 'pipe' }).toString();
      await waitUntil('the key counts', async () => {
        const { status } = await ask(`${started.url}/v1/models`, { headers: { 'X-API-Key': key } });
        return status === 200;
      });
    },
  );

  test('ends at once at the second Ctrl-C, even when a process hangs', async () => {
    const started = await start();
    for (const part of ['/worker.js', redisServer]) process.kill(processOf(part), 'SIGSTOP');
    started.child.kill('SIGINT');
    await waitUntil('it stops', () => started.output().includes('Stopping …'));
    const again = setInterval(() => started.child.kill('SIGINT'), 100);
    await started.exited;
    clearInterval(again);
    // Its last output may be read after it has ended, and a killed process takes a moment to go.
    await waitUntil('it has said so', () => started.output().includes('Stopping at once.'));
    await waitUntil('nothing is left', () => ourProcesses().length === 0);
  });

  test('starts Redis again when it dies, with the same data', async () => {
    const started = await start({ MODELS: 'faq-matcher' });
    const score = () =>
      post(
        `${started.url}/v1/models/faq-matcher/score`,
        { input: 'kept' },
        { 'idempotency-key': '"9b0c5d4e-0d0a-4a55-8b9e-5d5f1c1f3a11"' },
      );
    const kept = await score();
    expect(kept.status).toBe(200);
    process.kill(processOf(redisServer), 'SIGKILL');
    await waitUntil('it runs again', () => started.output().includes('Redis runs again.'));
    expect(started.output()).toContain('Redis has died (by SIGKILL). It is started again now');
    await waitUntil('it answers', async () => (await score()).status === 200);
    const again = await score();
    expect(again.headers.get('idempotency-replayed')).toBe('true');
    expect(again.body.predictions).toEqual(kept.body.predictions);

    process.kill(processOf('redis/guard.js'), 'SIGKILL');
    await waitUntil(
      'it runs again',
      () => started.output().split('Redis runs again.').length === 3,
    );
    await waitUntil('it answers', async () => (await score()).status === 200);
    expect(ourProcesses().filter((pid) => isOf(pid, redisServer))).toHaveLength(1);
  });

  test('prints an address that works where HOST stands for all addresses', async () => {
    const started = await start({
      HOST: '::',
      AUTH: 'none',
      MODELS: 'faq-matcher',
    });
    const address = / API +(http\S+)/.exec(started.output())?.[1];
    expect((await ask(`${address}/v2/health/ready`)).status).toBe(200);
  });

  test('says once that Redis is unusable, and nothing else', async () => {
    const redis = await openRedis();
    onTestFinished(() => redis.close());
    await redis.client.acl('SETUSER', 'default', 'resetpass', '>right');
    const started = spawnStart({ REDIS_URL: redis.url.replace('//', '//:wrong@') });
    expect(await started.closed).toBe(1);
    const lines = started.output().split('\n');
    expect(lines.filter((line) => line.includes('REDIS_URL: '))).toEqual([
      expect.stringContaining('a user and password that Redis accepts'),
    ]);
    expect(started.output()).not.toContain('{');
  });

  test('leaves nothing running when it is killed outright', async () => {
    const started = await start();
    started.child.kill('SIGKILL');
    await waitUntil('its children are gone', () => ourProcesses().length === 0);
  });

  test.for(['redis/guard.js', '/api.js', '/worker.js'])(
    'leaves nothing running when it is killed while %s starts',
    async (part) => {
      spawnStart({ PORT: String(await findFreePort()) });
      await waitUntil('it starts', () => ourProcesses().some((pid) => isOf(pid, part)));
      process.kill(processOf('bootstrap.mjs'), 'SIGKILL');
      await waitUntil('its children are gone', () => ourProcesses().length === 0);
    },
  );

  test('ends, and leaves nothing running, when nobody reads what it prints', async () => {
    const started = spawnStart({ PORT: String(await findFreePort()) });
    started.child.stdout.once('data', () => started.child.stdout.destroy());
    expect(await started.exited).toBe(141);
    await waitUntil('its children are gone', () => ourProcesses().length === 0);
    expect(started.output()).not.toContain('EPIPE');
  });

  test('refuses a second start on the same data, and the first one stays up', async () => {
    const first = await start();
    const second = spawnStart({ PORT: String(await findFreePort()) });
    expect(await second.closed).toBe(1);
    expect(second.output()).toContain('already running here');
    expect(second.output()).toMatch(/a Redis on port \d+ uses .*DATA_DIR=\S+ PORT=\d+ npm start/);
    expect((await ask(`${first.url}/v2/health/ready`)).status).toBe(200);
  });

  test('says which port is taken, and leaves nothing running', async () => {
    const port = await listenOnFreePort(createServer());
    const started = spawnStart({ PORT: String(port) });
    expect(await started.closed).toBe(1);
    expect(started.output().split(`got ${port} (EADDRINUSE)`)).toHaveLength(2);
    expect(ourProcesses()).toEqual([]);
  });

  test('reports every wrong setting at once', async () => {
    const started = spawnStart({ PORT: 'eighty', PERMITS_MAX: '0' });
    expect(await started.closed).toBe(1);
    expect(started.output()).toContain('PORT: ');
    expect(started.output()).toContain('PERMITS_MAX: ');
  });

  test('restarts a worker that was killed by the live view, and a request waits for it', async () => {
    const started = await start();
    const [worker] = (await ask(`${started.url}/v1/live`)).body.localWorkers;
    expect(worker).toEqual({ pid: processOf('/worker.js'), isReady: true });
    const killed = await post(`${started.url}/v1/live/workers/${worker.pid}/kill`, {});
    expect(killed.status).toBe(202);
    await waitUntil('it has died', () => started.output().includes('unexpectedly (SIGKILL)'));
    const answer = await ask(`${started.url}/v1/models/efficientnet-lite0/score`, {
      method: 'POST',
      headers: { 'content-type': 'image/png' },
      body: readFileSync(path.join(root, 'test/photographs/coffee.png')),
    });
    expect(answer.body.predictions[0].label).toBe('espresso');
    const { localWorkers } = (await ask(`${started.url}/v1/live`)).body;
    expect(localWorkers).toEqual([{ pid: processOf('/worker.js'), isReady: true }]);
  });

  test('has no worker to kill where others reach the API', async () => {
    const started = await start({ HOST: '0.0.0.0', AUTH: 'none', MODELS: 'faq-matcher' });
    const pid = processOf('/worker.js');
    const killed = await post(`${started.url}/v1/live/workers/${pid}/kill`, {});
    expect([killed.status, killed.body.code]).toEqual([404, 'not_found']);
  });
});

function spawnStart(environment: NodeJS.ProcessEnv) {
  const child = spawn('npm', ['start'], {
    cwd: root,
    env: { ...process.env, REDIS_URL: '', DATA_DIR: directory, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      text += chunk;
    });
  }
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  /** Resolves when all that it has said is read, too, which is once no process of it is left. */
  const closed = new Promise<number | null>((resolve) => child.once('close', resolve));
  return { child, exited, closed, output: () => text };
}

async function start(environment: NodeJS.ProcessEnv = {}) {
  const port = await findFreePort();
  const started = spawnStart({ PORT: String(port), ...environment });
  await waitUntil('npm start is ready', () => started.output().includes('Press Ctrl-C'), 60_000);
  return { ...started, url: `http://127.0.0.1:${port}` };
}

/**
 * Finds the processes that this test started by the data folder in their environment. Redis writes its
 * name over its environment, but works in that folder.
 */
function ourProcesses(): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && pid !== process.pid)
    .filter(
      (pid) =>
        told(pid, 'environ').includes(`DATA_DIR=${directory}`) ||
        workingFolderOf(pid).startsWith(directory),
    );
}

/** Finds one of them by a part of its command. */
function processOf(part: string): number {
  const found = ourProcesses().find((pid) => isOf(pid, part));
  if (found === undefined) throw new Error(`No process of this test runs ${part}.`);
  return found;
}

function isOf(pid: number, part: string): boolean {
  return told(pid, 'cmdline').includes(part);
}

/** Reads what the system tells of a process, which may have ended. */
function told(pid: number, name: 'cmdline' | 'environ'): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch {
    return '';
  }
}

function workingFolderOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return '';
  }
}

/** Kills a process, which may just have ended by itself. */
function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
