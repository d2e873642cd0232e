import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { afterEach, describe, expect, test } from 'vitest';
import { findFreePort } from '../../cli/redis.js';
import { ask, root, waitUntil } from '../harness.js';

const directory = mkdtempSync(path.join(os.tmpdir(), 'scoreline-start-'));
afterEach(async () => {
  for (const pid of ourProcesses()) process.kill(pid, 'SIGKILL');
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
      expect(answer.predictions[0].score).toBeGreaterThan(0);
    }
    expect(ourProcesses().length).toBeGreaterThanOrEqual(5);

    started.child.kill('SIGINT');
    expect(await started.exited).toBe(0);
    expect(ourProcesses()).toEqual([]);
  });

  test('leaves nothing running when it is killed outright', async () => {
    const started = await start();
    started.child.kill('SIGKILL');
    await waitUntil('its children are gone', () => ourProcesses().length === 0);
  });

  test('refuses a second start on the same data, and the first one stays up', async () => {
    const first = await start();
    const second = spawnStart({ PORT: String(await findFreePort()) });
    expect(await second.exited).toBe(1);
    expect(second.output()).toContain('already running here');
    expect((await ask(`${first.url}/v2/health/ready`)).status).toBe(200);
  });

  test('says which port is taken, and leaves nothing running', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as { port: number };
    const started = spawnStart({ PORT: String(port) });
    expect(await started.exited).toBe(1);
    expect(started.output()).toContain(`got ${port} (EADDRINUSE)`);
    expect(ourProcesses()).toEqual([]);
    taken.close();
  });

  test('reports every wrong setting at once', async () => {
    const started = spawnStart({ PORT: 'eighty', PERMITS_MAX: '0' });
    expect(await started.exited).toBe(1);
    expect(started.output()).toContain('PORT: ');
    expect(started.output()).toContain('PERMITS_MAX: ');
  });

  test('restarts a worker that died, and a request waits for it', async () => {
    const started = await start();
    const worker = ourProcesses().find((pid) => commandOf(pid).includes('worker/main.js'));
    process.kill(worker as number, 'SIGKILL');
    const answer = await ask(`${started.url}/v1/models/efficientnet-lite0/score`, {
      method: 'POST',
      headers: { 'content-type': 'image/png' },
      body: readFileSync(path.join(root, 'test/photographs/coffee.png')),
    });
    expect(answer.body.predictions[0].label).toBe('espresso');
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
  return { child, exited, output: () => text };
}

async function start() {
  const port = await findFreePort();
  const started = spawnStart({ PORT: String(port) });
  await waitUntil('npm start is ready', () => started.output().includes('Press Ctrl-C'), 60_000);
  return { ...started, url: `http://127.0.0.1:${port}` };
}

/** Finds the processes that this test started by the data folder in their environment. */
function ourProcesses(): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && pid !== process.pid)
    .filter((pid) => environmentOf(pid).includes(`DATA_DIR=${directory}`));
}

function environmentOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8');
  } catch {
    return '';
  }
}

function commandOf(pid: number): string {
  return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
}
