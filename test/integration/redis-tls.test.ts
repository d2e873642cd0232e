// Sentinel and Cluster over TLS. The certificate is for `localhost`, as that of a service often is for its
// name only. Sentinels and nodes send clients to numbers, for which the certificate has to do as well.

import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { hasOpenSsl, makeCertificate } from '../certificate.js';
import { serviceEnvironment, startProcess, waitUntil } from '../harness.js';
import { findBusPort, openMachine } from '../redis-groups.js';
import { writeFolder } from '../unit/sample-model.js';

describe.skipIf(!hasOpenSsl())('an API', () => {
  const directory = writeFolder({});
  let key: string;
  let certificate: string;
  beforeAll(() => {
    ({ key, certificate } = makeCertificate(directory));
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  test('reaches the node of a cluster that has its keys', async () => {
    const machine = openTestMachine();
    const [part, whole] = await Promise.all([findBusPort(), findBusPort()]);
    const settings = (port: number) => [...tls(port), 'tls-cluster yes', 'cluster-enabled yes'];
    const seed = await machine.start([], settings(part));
    const owner = await machine.start([], settings(whole));
    await owner.client.cluster('ADDSLOTS', ...Array.from({ length: 16384 }, (_, slot) => slot));
    await seed.client.cluster('MEET', '127.0.0.1', whole);
    await waitUntil('the cluster is up', async () =>
      String(await seed.client.cluster('INFO')).includes('cluster_state:ok'),
    );
    await expectStart(`rediss+cluster://localhost:${part}`);
  });

  test('reaches the primary that a Sentinel names', async () => {
    const machine = openTestMachine();
    const [port, sentinel] = await Promise.all([findBusPort(), findBusPort()]);
    await machine.start([], [...tls(port), 'tls-replication yes']);
    await machine.start(
      ['--sentinel'],
      [...tls(sentinel), 'tls-replication yes', `sentinel monitor main 127.0.0.1 ${port} 1`],
    );
    await expectStart(`rediss+sentinel://localhost:${sentinel}/main`);
  });

  test('refuses a Redis with the certificate of another host, whoever vouches for it', async () => {
    const machine = openTestMachine();
    const port = await findBusPort();
    await machine.start([], tls(port));
    await expectStart(`rediss://localhost:${port}`);
    const api = startApi(`rediss://127.0.0.1:${port}`);
    await expect(api.ready).rejects.toThrow(
      /^REDIS_URL: expected a certificate for 127.0.0.1 that/,
    );
    expect(await api.exited).toBe(1);
  });

  function openTestMachine() {
    const machine = openMachine();
    onTestFinished(machine.close);
    return machine;
  }

  function tls(port: number): string[] {
    return [
      `tls-port ${port}`,
      'tls-auth-clients no',
      `tls-ca-cert-file ${certificate}`,
      `tls-cert-file ${certificate}`,
      `tls-key-file ${key}`,
    ];
  }

  /** Expects an API to get ready, which it does with a connection to Redis only. */
  async function expectStart(redisUrl: string): Promise<void> {
    await startApi(redisUrl).ready;
  }

  /** Starts an API that trusts the certificate. */
  function startApi(redisUrl: string) {
    const environment = { NODE_EXTRA_CA_CERTS: certificate };
    const options = { redisUrl, models: 'faq-matcher', environment };
    const api = startProcess('api', serviceEnvironment(options), []);
    onTestFinished(() => api.kill('SIGKILL'));
    return api;
  }
});
