// When the certificate of an issuer expires, asked of a real server with TLS.

import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { expect, onTestFinished, test } from 'vitest';
import { observeIssuerCertificate } from '../../api/metrics/issuer-certificate.js';
import { findFreePort } from '../../cli/redis/redis.js';
import { Instruments } from '../../shared/metrics/instruments.js';
import { parseMetrics } from '../../top/exposition.js';
import { hasOpenSsl, makeCertificate } from '../certificate.js';
import { waitUntil } from '../harness.js';
import { listenOnFreePort } from '../peer.js';
import { makeFolder } from '../unit/sample-model.js';

function observe(issuer: string | undefined) {
  const instruments = new Instruments('api');
  onTestFinished(observeIssuerCertificate(instruments, issuer));
  return async () => {
    const families = parseMetrics((await instruments.expose()).text);
    return families.get('scoreline_issuer_certificate_expiry_seconds')?.samples ?? [];
  };
}

const skipped = hasOpenSsl() ? '' : ' (skipped: there is no openssl)';

test.skipIf(!hasOpenSsl())(`is that of its certificate${skipped}`, async () => {
  const { key, certificate } = makeCertificate(makeFolder({}));
  const cert = readFileSync(certificate);
  const server = createServer({ key: readFileSync(key), cert });
  const read = observe(`https://localhost:${await listenOnFreePort(server)}/tenant/v2.0`);
  await waitUntil('it is known', async () => (await read()).length === 1);
  const expiresAt = Date.parse(new X509Certificate(cert).validTo) / 1000;
  expect((await read())[0]?.value).toBe(expiresAt);
});

test('is unknown without an issuer, without TLS, and if there is no answer', async () => {
  const port = await findFreePort();
  for (const issuer of [undefined, 'http://localhost:1', `https://localhost:${port}`]) {
    expect(await observe(issuer)()).toEqual([]);
  }
});
