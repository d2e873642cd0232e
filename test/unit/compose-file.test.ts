// docker-compose.yml: Redis refuses what it has no memory for. What the profile `monitoring` mounts is there, and nothing
// of it is open to a network.

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { CORE_SCHEMA, load, mergeTag } from 'js-yaml';
import { describe, expect, test } from 'vitest';
import { root } from '../harness.js';

interface ComposeService {
  readonly image: string;
  readonly command?: readonly string[];
  readonly profiles?: readonly string[];
  readonly ports?: readonly string[];
  readonly volumes: readonly string[];
  readonly logging?: { readonly driver: string };
  readonly environment?: Readonly<Record<string, string>>;
}

const text = readFileSync(path.join(root, 'docker-compose.yml'), 'utf8');
const { services, volumes } = load(text, { schema: CORE_SCHEMA.withTags(mergeTag) }) as {
  services: Record<string, ComposeService>;
  volumes: Record<string, unknown>;
};
const monitoring = Object.entries(services).filter(([, { profiles }]) =>
  profiles?.includes('monitoring'),
);

test('Redis has a limit, keeps what waits, and evicts nothing', () => {
  const [, ...options] = services.redis?.command ?? [];
  const pairs = options.flatMap((name, index) =>
    index % 2 === 0 ? [[name, options[index + 1]]] : [],
  );
  expect(Object.fromEntries(pairs)).toMatchObject({
    '--appendonly': 'yes',
    '--maxmemory': expect.stringMatching(/^\$\{REDIS_MAXMEMORY:-[1-9]\d*gb\}$/),
    '--maxmemory-policy': 'noeviction',
  });
});

test('the logs of no service grow without a limit', () => {
  for (const [name, { logging }] of Object.entries(services)) {
    expect(logging, name).toEqual({ driver: expect.stringMatching(/^\$\{LOG_DRIVER:-local\}$/) });
  }
});

test('all models of the folder are served unless MODELS names some', () => {
  for (const name of ['api', 'worker', 'worker-gpu', 'worker-python']) {
    expect(services[name]?.environment?.MODELS, name).toMatch(/^\$\{MODELS:-\}$/);
  }
});

describe('the profile monitoring', () => {
  test('has Prometheus and Grafana', () => {
    expect(monitoring.map(([name]) => name).toSorted()).toEqual(['grafana', 'prometheus']);
  });

  test.each(monitoring)('%s has a tag, and listens on this machine only', (_, service) => {
    expect(service.image).toMatch(/^\$\{\w+:-[\w./-]+:v?\d+\.\d+\.\d+\}$/);
    expect(service.ports).toHaveLength(1);
    for (const port of service.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:/);
  });

  test.each(monitoring)('%s mounts what is there', (_, service) => {
    for (const volume of service.volumes) {
      const [from = ''] = volume.split(':');
      if (!from.startsWith('.')) expect(Object.keys(volumes)).toContain(from);
      else {
        expect(existsSync(path.join(root, from)), from).toBe(true);
        expect(volume).toMatch(/:ro$/);
      }
    }
  });

  test('scrapes the names and the port of the services', () => {
    const file = readFileSync(path.join(root, 'monitoring/prometheus.yml'), 'utf8');
    const { scrape_configs: jobs, rule_files: rules } = load(file) as {
      scrape_configs: { dns_sd_configs: { names: string[]; port: number }[] }[];
      rule_files: string[];
    };
    const [found] = jobs.flatMap((job) => job.dns_sd_configs);
    expect(found?.port).toBe(8081);
    const measured = Object.keys(services).filter((name) => /^(api|worker)/.test(name));
    expect(found?.names.toSorted()).toEqual(measured.toSorted());
    const mounted = services.prometheus?.volumes.join() ?? '';
    for (const rule of rules) expect(mounted).toContain(`:/etc/prometheus/${rule}:ro`);
  });

  const hasCompose = spawnSync('docker-compose', ['version']).status === 0;
  const skipped = hasCompose ? '' : ' (skipped: docker-compose is not installed)';
  test.skipIf(!hasCompose)(`is taken by Compose${skipped}`, () => {
    const { status, stderr } = spawnSync(
      'docker-compose',
      ['--profile', 'monitoring', 'config', '--quiet'],
      { cwd: root, encoding: 'utf8' },
    );
    expect([status, stderr]).toEqual([0, '']);
  });
});
