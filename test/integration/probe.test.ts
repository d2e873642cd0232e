// Tests the health check of the images, also in a container that has a proxy for the web.

import { spawn } from 'node:child_process';
import path from 'node:path';
import process from 'node:process';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { root } from '../harness.js';
import { json, nothing, openPeer } from '../peer.js';

async function probe(role: string, url: string) {
  const [, port] = /:(\d+)$/.exec(url) ?? [];
  const proxy = 'http://127.0.0.1:9';
  const child = spawn(process.execPath, [path.join(root, 'dist/cli/probe.js'), role], {
    env: {
      ...{ PORT: port, PROBE_PORT: port },
      ...{ NODE_USE_ENV_PROXY: '1', HTTP_PROXY: proxy, HTTPS_PROXY: proxy },
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  return [await text(child.stdout), await exited];
}

describe.each([
  ['api', '/v2/health/ready'],
  ['worker', '/readyz'],
])('the health check of the %s', (role, address) => {
  test('is good if the process is ready', async () => {
    const peer = await openPeer(json({ ready: true }));
    expect(await probe(role, peer.url)).toEqual(['200 {"ready":true}\n', 0]);
    expect(peer.requests.map(({ url }) => url)).toEqual([address]);
  });

  test('is bad if it is not, or does not answer', async () => {
    const peer = await openPeer(json({ ready: false, reason: 'because' }, 503), nothing);
    expect(await probe(role, peer.url)).toEqual(['503 {"ready":false,"reason":"because"}\n', 1]);
    expect(await probe(role, peer.url)).toEqual([expect.stringContaining('Timeout'), 1]);
  });
});
