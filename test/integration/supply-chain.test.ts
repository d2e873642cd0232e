// `npm run audit` and `npm run sbom`, with the real npm. The audit service is one of this test.

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { json as readJson } from 'node:stream/consumers';
import { createGunzip } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { readRuntimePackages } from '../../cli/generating/licences.js';
import { findFreePort } from '../../cli/redis/redis.js';
import { runCommand } from '../command.js';
import { root } from '../harness.js';
import { openPeer } from '../peer.js';
import { makeFolder } from '../unit/sample-model.js';

interface Advisory {
  readonly package: string;
  readonly severity: string;
}

/** Starts a registry that knows these advisories. Resolves to its address and what it was asked. */
async function openRegistry(advisories: readonly Advisory[], status = 200) {
  const asked: string[][] = [];
  const { url } = await openPeer(async (response, request) => {
    const answer = (body: unknown) => response.writeHead(status).end(JSON.stringify(body));
    // npm also asks which versions there are, to find one without the fault.
    if (request.method !== 'POST')
      return void answer({ name: request.url?.slice(1), versions: {} });
    const isPacked = request.headers['content-encoding'] === 'gzip';
    const body = await readJson(isPacked ? request.pipe(createGunzip()) : request);
    asked.push(Object.keys(body as object));
    answer(
      Object.fromEntries(
        advisories.map(({ package: name, severity }, index) => [
          name,
          [
            {
              ...{ id: 1000 + index, severity, title: `A fault in ${name}` },
              ...{ url: `https://example.org/${name}`, vulnerable_versions: '*' },
            },
          ],
        ]),
      ),
    );
  });
  return { asked, url };
}

const audit = (registry: string, ...parameters: string[]) =>
  runCommand('audit', parameters, {
    env: {
      npm_config_registry: registry,
      npm_config_fetch_retry_mintimeout: '10',
      // npm keeps what it has made of an advisory.
      npm_config_cache: makeFolder({}),
    },
  });

describe('npm run audit', () => {
  test('asks about the packages that run in production, and passes if none is known to be faulty', async () => {
    const registry = await openRegistry([]);
    const { code, out } = await audit(registry.url);
    expect([code, out]).toEqual([0, expect.stringMatching(/^\d+ packages: no known vulnera/)]);
    expect(registry.asked[0]).toEqual(expect.arrayContaining(['bullmq', 'sharp', 'express']));
    expect(registry.asked[0]).not.toContain('vitest');
  });

  test('fails if a fault is severe, and says what to do', async () => {
    for (const severity of ['high', 'critical']) {
      const registry = await openRegistry([{ package: 'jose', severity }]);
      const { code, out } = await audit(registry.url);
      expect([code, out]).toEqual([1, expect.stringContaining(`${severity}: jose\n`)]);
      expect(out).toContain('A fault in jose: https://example.org/jose\n');
      expect(out).toContain('No version mends it yet. Read the advisory');
    }
  });

  test('passes if a fault is not severe, and names it', async () => {
    const registry = await openRegistry([{ package: 'jose', severity: 'moderate' }]);
    const { code, out } = await audit(registry.url);
    expect([code, out]).toEqual([0, expect.stringContaining('moderate: jose\n')]);
  });

  test.each(['away', 'without an audit'])(
    'says loudly that nothing was audited if the service is %s, and fails if told to',
    async (how) => {
      const url =
        how === 'away'
          ? `http://127.0.0.1:${await findFreePort()}`
          : (await openRegistry([], 405)).url;
      const passed = await audit(url);
      expect(passed.code).toBe(0);
      expect(passed.err).toMatch(/^NOT AUDITED\./);
      expect(passed.err).toMatch(how === 'away' ? /ECONNREFUSED/ : /405 Method Not Allowed/);
      const required = await audit(url, '--required');
      expect([required.code, required.err]).toEqual([1, expect.stringMatching(/^NOT AUDITED\./)]);
    },
  );

  test('prints its usage if called with anything else', async () => {
    const { code, err } = await audit('http://127.0.0.1:9', '--fix');
    expect(code).toBe(1);
    expect(err).toContain('Usage: npm run audit [-- --required]\n');
    expect(err).toContain('\n\nGot: --fix\n');
  });
});

test('npm run sbom writes a CycloneDX list of all packages that run in production, without a network', async () => {
  const { code, out } = await runCommand('sbom', [], {
    env: { npm_config_offline: 'true', npm_config_cache: makeFolder({}) },
  });
  expect(code).toBe(0);
  const { bomFormat, metadata, components } = JSON.parse(out);
  expect([bomFormat, metadata.component.name]).toEqual(['CycloneDX', 'scoreline']);
  const names = components.map(
    ({ group, name, version }: Record<string, string>) =>
      `${group ? `${group}/` : ''}${name} ${version}`,
  );
  const lockFile = readFileSync(path.join(root, 'package-lock.json'), 'utf8');
  const expected = readRuntimePackages(lockFile).map(({ name, version }) => `${name} ${version}`);
  expect([...new Set(names)].toSorted()).toEqual(expected);
});
