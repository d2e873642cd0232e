// The folders that become the images, built as the Dockerfile builds them but without a Docker engine:
// a program that lacks a file or a package there fails here. They are outside the repository, so its
// packages are out of reach.

import { exec, execFileSync } from 'node:child_process';
import { cpSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Child } from '../../cli/processes/children.js';
import {
  ask,
  type LogLine,
  openRedisForAll,
  post,
  root,
  serviceEnvironment,
  startProcess,
} from '../harness.js';
import { writeFolder } from '../unit/sample-model.js';

const folder = writeFolder({});
const log: LogLine[] = [];
const children: Child[] = [];
const redis = await openRedisForAll();
let url: string;

beforeAll(async () => {
  await buildImageFolders();
  const environment = serviceEnvironment({
    redisUrl: redis.url,
    environment: { LOG_LEVEL: 'warn' },
  });
  const start = (role: 'api' | 'worker') => {
    const options = { root: path.join(folder, role), v8Arguments: [] };
    const child = startProcess(role, environment, log, options);
    children.push(child);
    return child.ready;
  };
  const [{ port }] = await Promise.all([start('api'), start('worker')]);
  url = `http://127.0.0.1:${port}`;
  // Compiling takes long on a busy machine.
}, 300_000);

afterAll(async () => {
  for (const child of children) await child.close();
  rmSync(folder, { recursive: true, force: true });
});

test('both scenarios are answered', async () => {
  const text = await post(`${url}/score`, { input: 'copy an object' });
  expect(text.body.result[0][0]).toEqual([1041, 2041, expect.any(Number)]);

  const body = readFileSync(path.join(root, 'test/photographs/siamese-cat.jpg'));
  const headers = { 'content-type': 'image/jpeg' };
  const model = 'efficientnet-lite0';
  const image = await ask(`${url}/v1/models/${model}/score`, { method: 'POST', headers, body });
  expect(image.body.predictions[0].label).toBe('Siamese cat, Siamese');
});

test('the folder of the API can make keys', () => {
  const command = path.join(folder, 'api/dist/cli/keys.js');
  const env = { ...process.env, REDIS_URL: redis.url };
  const key = execFileSync(process.execPath, [command, 'create', 'test'], { env, stdio: 'pipe' });
  expect(String(key)).toMatch(/^scl_/);
});

test('nothing is missing: no process warns of anything', () => {
  expect(log).toEqual([]);
});

test('a browser gets the page and its pictures', async () => {
  const page = await fetch(url, { headers: { accept: 'text/html' } });
  expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
  expect(await page.text()).toContain('id="settings"');
  expect((await fetch(`${url}/playground/cat.jpg`)).status).toBe(200);
});

/** Runs what the Dockerfile says of its stage `build`, with the packages that are installed here. */
async function buildImageFolders(): Promise<void> {
  const stages = readFileSync(path.join(root, 'Dockerfile'), 'utf8').split(/^FROM /m);
  const stage = stages.find((text) => /^\S+ AS build\n/.test(text)) ?? '';
  const lines = stage.replaceAll('\\\n', '').split('\n');
  const build = path.join(folder, 'build');
  for (const line of lines.filter((text) => /^COPY (?!--)/.test(text))) {
    const names = line.split(' ').slice(1, -1);
    for (const name of names) {
      cpSync(path.join(root, name), path.join(build, name), { recursive: true });
    }
  }
  symlinkSync(path.join(root, 'node_modules'), path.join(build, 'node_modules'));
  const command = lines.find((line) => line.startsWith('RUN ') && line.includes('assemble'));
  if (!command) throw new Error('Expected the stage build of the Dockerfile to assemble folders.');
  const script = command
    .replace('RUN ', '')
    .replaceAll(' /packages ', ` ${root} `)
    .replaceAll(' /out/', ` ${folder}/`);
  await promisify(exec)(script, { cwd: build }).catch((error) => {
    throw new Error(`${error.message}\n${error.stdout}`);
  });
}
