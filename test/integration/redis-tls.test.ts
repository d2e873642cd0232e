// Sentinel and Cluster over TLS, and a Redis that asks its clients for certificates. The certificate is for `localhost`, as that of a service often is for its
// name only. Sentinels and nodes send clients to numbers, for which the certificate has to do as well.

import { copyFileSync, rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type CertificateFiles, hasOpenSsl, makeAuthority } from '../certificate.js';
import { serviceEnvironment, startProcess, waitUntil } from '../harness.js';
import { findBusPort, openMachine } from '../redis-groups.js';
import { writeFolder } from '../unit/sample-model.js';

describe.skipIf(!hasOpenSsl())('an API', () => {
  const directory = writeFolder({});
  let authority: ReturnType<typeof makeAuthority>;
  beforeAll(() => {
    authority = makeAuthority(directory);
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
    await expectRefused(
      startApi(`rediss://127.0.0.1:${port}`),
      /^REDIS_URL: expected a certificate for 127.0.0.1 that/,
    );
  });

  describe('with a Redis that asks for its certificate', () => {
    const withOwn = (own: CertificateFiles) => ({
      REDIS_CERT_FILE: own.certificate,
      REDIS_KEY_FILE: own.key,
    });

    test('is refused without one, and with one of another authority', async () => {
      const url = await startAsking();
      const message = (alert: string) =>
        new RegExp(
          `^REDIS_URL: expected a Redis that takes this client by its certificate; got the answer ".*${alert}". Set REDIS_CERT_FILE and REDIS_KEY_FILE`,
        );
      await expectRefused(startApi(url), message('certificate required'));
      // The second one could be a successor, of the same name.
      for (const [name, alert] of [
        ['Another authority', 'unknown ca'],
        ['An authority', 'decrypt error'],
      ] as const) {
        const foreign = makeAuthority(directory, name).sign();
        await expectRefused(startApi(url, withOwn(foreign)), message(alert));
      }
    });

    test('is not started with a certificate that does not fit its key', async () => {
      const [one, other] = [authority.sign(), authority.sign()];
      const api = startApi('rediss://localhost:1', withOwn({ ...one, key: other.key }));
      await expectRefused(
        api,
        /^REDIS_CERT_FILE, REDIS_KEY_FILE: expected a certificate and its key in PEM; got .* cannot be used \(.*key values mismatch/,
      );
    });

    test('reaches it, and the primary that its Sentinel names, with one', async () => {
      const own = withOwn(authority.sign());
      await startApi(await startAsking(), own).ready;

      const machine = openTestMachine();
      const [port, sentinel] = await Promise.all([findBusPort(), findBusPort()]);
      await machine.start([], [...asking(port), 'tls-replication yes']);
      const monitor = `sentinel monitor main 127.0.0.1 ${port} 1`;
      await machine.start(['--sentinel'], [...asking(sentinel), 'tls-replication yes', monitor]);
      await startApi(`rediss+sentinel://localhost:${sentinel}/main`, own).ready;
    });

    test('takes a renewed certificate with its next connection', async () => {
      const machine = openTestMachine();
      const port = await findBusPort();
      const server = await machine.start([], asking(port));
      const own = authority.sign();
      await startApi(`rediss://localhost:${port}`, withOwn(own)).ready;
      const untilBack = async () => {
        await server.client.call('CLIENT', 'KILL', 'SKIPME', 'yes');
        await waitUntil('the API is connected again', async () =>
          String(await server.client.call('CLIENT', 'LIST')).includes('name=scoreline-api'),
        );
      };
      const successor = makeAuthority(directory);
      const renewed = successor.sign();
      copyFileSync(renewed.key, own.key);
      // Halfway, the files do not fit together. The former certificate counts.
      await untilBack();
      await server.client.config('SET', 'tls-ca-cert-file', successor.certificate);
      copyFileSync(renewed.certificate, own.certificate);
      await untilBack();
    });
  });

  function openTestMachine() {
    const machine = openMachine();
    onTestFinished(machine.close);
    return machine;
  }

  function tls(port: number): string[] {
    return [...asking(port), 'tls-auth-clients no'];
  }

  /** As Redis does it unless it is told otherwise. The authority of its clients has signed its own certificate. */
  function asking(port: number): string[] {
    const own = authority.sign();
    return [
      `tls-port ${port}`,
      `tls-ca-cert-file ${authority.certificate}`,
      `tls-cert-file ${own.certificate}`,
      `tls-key-file ${own.key}`,
    ];
  }

  /** Starts a Redis that asks its clients for certificates. Resolves to its URL. */
  async function startAsking(): Promise<string> {
    const port = await findBusPort();
    await openTestMachine().start([], asking(port));
    return `rediss://localhost:${port}`;
  }

  async function expectRefused(api: ReturnType<typeof startApi>, message: RegExp): Promise<void> {
    await expect(api.ready).rejects.toThrow(message);
    expect(await api.exited).toBe(1);
  }

  /** Expects an API to get ready, which it does with a connection to Redis only. */
  async function expectStart(redisUrl: string): Promise<void> {
    await startApi(redisUrl).ready;
  }

  /** Starts an API that trusts the authority. */
  function startApi(redisUrl: string, own: NodeJS.ProcessEnv = {}) {
    const environment = { NODE_EXTRA_CA_CERTS: authority.certificate, ...own };
    const options = { redisUrl, models: 'faq-matcher', environment };
    const api = startProcess('api', serviceEnvironment(options), []);
    onTestFinished(() => api.kill('SIGKILL'));
    return api;
  }
});
