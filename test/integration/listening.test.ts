import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { openRedis, serviceEnvironment, startProcess, type TestRedis } from '../harness.js';

let redis: TestRedis;
beforeAll(async () => {
  redis = await openRedis();
});
afterAll(() => redis?.close());

const start = (environment: NodeJS.ProcessEnv) => {
  const given = { redisUrl: redis.url, models: 'faq-matcher', environment };
  const child = startProcess('api', serviceEnvironment(given), []);
  onTestFinished(() => child.close());
  return child;
};

describe('an API that cannot listen names the setting to change', () => {
  test('PORT, if another process has it', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    onTestFinished(() => void taken.close());
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
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
  });
});
