// Runs the receivers of docs/webhooks.md, and sends them webhooks as the API does.

import { spawn } from 'node:child_process';
import { symlinkSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { expect, onTestFinished, test } from 'vitest';
import { sign } from '../../api/webhooks/signature.js';
import { receiverSecret } from '../../chaos/receiver.js';
import { findFreePort } from '../../cli/redis/redis.js';
import { root, waitUntil } from '../harness.js';
import { hasPython } from '../python.js';
import { readSnippets } from '../snippets.js';
import { makeFolder } from '../unit/sample-model.js';

const key = Buffer.from(receiverSecret.slice('whsec_'.length), 'base64');

function snippetOf(language: string): string {
  const [snippet] = readSnippets('docs/webhooks.md').filter((one) => one.language === language);
  return snippet?.code ?? '';
}

/** Starts a receiver, and returns its address and what it has printed. */
async function start(program: string, file: string, code: string) {
  const directory = makeFolder({ [file]: code });
  symlinkSync(path.join(root, 'node_modules'), path.join(directory, 'node_modules'));
  const port = await findFreePort();
  const child = spawn(program, [path.join(directory, file)], {
    env: { ...process.env, PORT: String(port), WEBHOOK_SECRET: receiverSecret },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const printed: string[] = [];
  child.stdout.on('data', (chunk) => printed.push(String(chunk)));
  const url = `http://127.0.0.1:${port}`;
  await waitUntil(`${file} listens`, () =>
    fetch(url).then(
      () => true,
      () => false,
    ),
  );
  return { url, printed };
}

test('the receiver in Node.js takes what is signed, and a repeat once', () =>
  expectReceiver(process.execPath, 'receiver.mjs', 'js'));

test.skipIf(!hasPython)(
  'the receiver in Python takes what is signed, and a repeat once (needs Python 3.11)',
  () => expectReceiver('python3', 'receiver.py', 'python'),
);

async function expectReceiver(program: string, file: string, language: string): Promise<void> {
  const { url, printed } = await start(program, file, snippetOf(language));
  const send = async (id: string, secret: Buffer, at = new Date()) => {
    const body = JSON.stringify({ type: 'job.succeeded', data: { id: `job of ${id} ä` } });
    const secrets = [Buffer.alloc(24), secret].map((each) => ({ host: undefined, key: each }));
    const headers = sign({ id, body }, secrets, at);
    return (await fetch(url, { method: 'POST', body, headers })).status;
  };
  expect(await send('msg_1', key)).toBe(204);
  expect(await send('msg_1', key)).toBe(204);
  expect(await send('msg_2', Buffer.alloc(32))).toBe(401);
  expect(await send('msg_3', key, new Date(Date.now() - 400_000))).toBe(401);
  const right = sign({ id: 'msg_5', body: '{}' }, [{ host: undefined, key }], new Date());
  for (const changes of [
    { 'webhook-signature': '' },
    { 'webhook-signature': 'v1,\u00e9' },
    { 'webhook-timestamp': 'soon' },
    { 'webhook-timestamp': '9'.repeat(5000) },
    { 'webhook-id': '' },
  ]) {
    const headers: Record<string, string> = { ...right, ...changes };
    expect((await fetch(url, { method: 'POST', body: '{}', headers })).status).toBe(401);
  }
  expect((await fetch(url, { method: 'POST', body: '{}' })).status).toBe(401);
  expect(await send('msg_4', key)).toBe(204);
  await waitUntil('it has printed both', () => printed.join('').includes('msg_4'));
  expect(printed.join('')).toBe('job.succeeded job of msg_1 ä\njob.succeeded job of msg_4 ä\n');
}
