// Tests that whoever asks something by `fetch` is told why it failed.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import process from 'node:process';
import { text } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { findFreePort } from '../../cli/redis/redis.js';
import { describeFetchFailure } from '../../shared/fetch-failure.js';
import { root } from '../harness.js';

const knowsProxies = Number(process.versions.node.split('.')[0]) >= 24;

test('a server that does not listen is the reason, also at several addresses', async () => {
  const port = await findFreePort();
  for (const host of ['127.0.0.1', 'localhost']) {
    const thrown = await fetch(`http://${host}:${port}/`).catch((error: unknown) => error);
    expect(describeFetchFailure(thrown)).toContain('ECONNREFUSED');
  }
});

test.skipIf(!knowsProxies)('a proxy that refuses is the reason (needs Node 24)', async () => {
  const proxy = http.createServer();
  proxy.on('connect', (_, socket) => socket.end('HTTP/1.1 407 Who are you?\r\n\r\n'));
  onTestFinished(() => {
    proxy.close();
  });
  await once(proxy.listen(0, '127.0.0.1'), 'listening');
  const { port } = proxy.address() as AddressInfo;
  const module = pathToFileURL(path.join(root, 'dist/shared/fetch-failure.js'));
  const program = `import { describeFetchFailure } from '${module}';
    await fetch('https://example.com/').catch((error) => console.log(describeFetchFailure(error)));`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    env: { NODE_USE_ENV_PROXY: '1', HTTPS_PROXY: `http://127.0.0.1:${port}` },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  expect(await text(child.stdout)).toContain('407');
});
