import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import os from 'node:os';
import { describe, expect, onTestFinished, test } from 'vitest';
import { findFreePort } from '../../cli/redis/redis.js';
import {
  ask,
  type LogLine,
  openRedisForAll,
  serviceEnvironment,
  startProcess,
  waitUntil,
} from '../harness.js';
import { listenOnFreePort } from '../peer.js';

const redis = await openRedisForAll();
const hasIPv6 = Object.values(os.networkInterfaces())
  .flat()
  .some((found) => found?.address === '::1');

const start = (environment: NodeJS.ProcessEnv, log: LogLine[] = []) => {
  const given = { redisUrl: redis.url, models: 'faq-matcher', environment };
  const child = startProcess('api', serviceEnvironment(given), log);
  onTestFinished(() => child.close());
  return child;
};

describe('an API that cannot listen names the setting to change', () => {
  test('PORT, if another process has it', async () => {
    const port = await listenOnFreePort(createServer());
    const child = start({ PORT: String(port) });
    await expect(child.ready).rejects.toThrow(
      /^PORT: expected a port .* at 127.0.0.1; got \d+ \(EADDRINUSE\). Another process has it. Choose/,
    );
    expect(await child.exited).toBe(1);
  });

  test.each(['203.0.113.1', '[::1]', 'no.such.host.invalid'])('HOST, if it is %s', async (HOST) => {
    const child = start({ HOST, AUTH: 'none' });
    await expect(child.ready).rejects.toThrow(
      /^HOST: expected an address of this machine; got .* \(E[A-Z]+\). Choose 127.0.0.1/,
    );
    expect(await child.exited).toBe(1);
    // The port of the metrics may be the first that cannot be opened.
    const both = start({ HOST, AUTH: 'none', METRICS_PORT: String(await findFreePort()) });
    await expect(both.ready).rejects.toThrow(/^HOST: /);
  });
});

test('HOST=:: is reached by IPv4 and, where the machine has it, by IPv6', async () => {
  const metricsPort = await findFreePort();
  const child = start({ HOST: '::', AUTH: 'none', METRICS_PORT: String(metricsPort) });
  const { port } = await child.ready;
  for (const address of hasIPv6 ? ['127.0.0.1', '[::1]'] : ['127.0.0.1']) {
    expect((await ask(`http://${address}:${port}/v2/health/live`)).status).toBe(200);
    expect((await fetch(`http://${address}:${metricsPort}/metrics`)).status).toBe(200);
  }
});

test('an API whose clients have all connections is alive, as its other port says', async () => {
  const metricsPort = await findFreePort();
  const child = start({ CONNECTIONS_MAX: '1', METRICS_PORT: String(metricsPort) });
  const { port } = await child.ready;
  const client = connect(Number(port), '127.0.0.1');
  onTestFinished(() => void client.destroy());
  await once(client, 'connect');
  await expect(fetch(`http://127.0.0.1:${port}/v2/health/live`)).rejects.toThrow('fetch failed');
  expect((await fetch(`http://127.0.0.1:${metricsPort}/livez`)).status).toBe(200);
});

test.runIf(process.platform === 'linux').each([
  { of: 'CONNECTIONS_MAX', limit: '1', files: 1000 },
  { of: 'ulimit -n', limit: '10000', files: 120 },
])('connections beyond $of are closed at once, and logged', async ({ of, limit, files }) => {
  const log: LogLine[] = [];
  const child = start({ CONNECTIONS_MAX: limit, LOG_LEVEL: 'warn' }, log);
  // The process reads its limit half a second from now.
  execFileSync('prlimit', [`--pid=${child.pid}`, `--nofile=${files}`]);
  const { port } = await child.ready;
  const clients = Array.from({ length: 40 }, () => connect(Number(port), '127.0.0.1'));
  onTestFinished(() => clients.forEach((client) => void client.destroy()));
  await waitUntil('it is logged', () => log.length > 0);
  expect(log[0]).toMatchObject({
    msg: 'further connections are closed at once',
    advice: expect.stringContaining(of),
  });
  for (const client of clients) client.destroy();
  await waitUntil('there is room again', async () => {
    const asked = ask(`http://127.0.0.1:${port}/v2/health/live`);
    return (await asked.catch(() => undefined))?.status === 200;
  });
});

test('with AUTH=none, the addresses for operators are closed', async () => {
  const child = start({ AUTH: 'none' });
  const { port } = await child.ready;
  for (const [method, address] of [
    ['GET', '/v1/webhooks'],
    ['POST', '/v1/webhooks/some-job/redeliver'],
    ['POST', '/v2/repository/models/faq-matcher/unload'],
    ['GET', '/admin/'],
  ]) {
    const answer = await ask(`http://127.0.0.1:${port}${address}`, { method: method as string });
    expect([address, answer.status, answer.body.code]).toEqual([address, 403, 'scope_missing']);
  }
});
