import process from 'node:process';
import { describe, expect, test } from 'vitest';
import { docker } from '../../cli/docker/docker.js';
import { measureImage } from '../../images/report.js';
import { whySkipped } from './switch.js';

/** What an image may add to its base image. */
const limits = [
  { name: process.env.API_IMAGE ?? 'scoreline-api', bytesMax: 90e6, without: /onnxruntime/ },
  {
    name: process.env.WORKER_IMAGE ?? 'scoreline-worker',
    bytesMax: 130e6,
    without: /sharp|express|libvips/,
  },
];
const buildTools = [
  'npm',
  'npx',
  'corepack',
  'yarn',
  'gcc',
  'g++',
  'make',
  'python3',
  'git',
  'tsc',
];

const title = (name: string) => `${name}${whySkipped ? ` (${whySkipped})` : ''}`;
describe.skipIf(whySkipped).each(limits)(title('the image $name'), (image) => {
  test('is small, and holds nothing that its role does not use', async () => {
    const { bytes, baseBytes, parts } = await measureImage(image.name);
    expect(baseBytes).toBeGreaterThan(0);
    expect(bytes - (baseBytes as number)).toBeLessThan(image.bytesMax);
    for (const { name } of parts) expect(name).not.toMatch(image.without);
  });

  test('has no build tools, and no sources, types or source maps of ours', async () => {
    const find = `
      const { execFileSync } = require('node:child_process');
      const { existsSync, readdirSync } = require('node:fs');
      const tools = ${JSON.stringify(buildTools)}.filter((tool) =>
        process.env.PATH.split(':').some((folder) => existsSync(folder + '/' + tool)));
      const files = readdirSync('/app', { recursive: true }).filter((file) => /\\.(map|ts)$/.test(file));
      console.log(JSON.stringify({ tools, files }));`;
    expect(JSON.parse(await runIn(image.name, 'node', '-e', find))).toEqual({
      tools: [],
      files: [],
    });
  });

  test('runs as a user without rights, under an init, with a health check and labels', async () => {
    const text = await docker('image', 'inspect', '--format', '{{json .Config}}', image.name);
    const config = JSON.parse(text);
    expect(config.User).toBe('1000:1000');
    expect(config.Entrypoint[0]).toBe('tini');
    expect(config.Healthcheck.Test).toEqual(expect.arrayContaining(['/app/dist/cli/probe.js']));
    for (const label of ['title', 'version', 'revision', 'created', 'source', 'licenses']) {
      expect(config.Labels).toHaveProperty([`org.opencontainers.image.${label}`]);
    }
  });

  test('refuses a memory limit in which it cannot start, and says why', async () => {
    const run = docker('run', '--rm', '--memory', '48m', image.name);
    await expect(run).rejects.toThrow(/got 48 MB\. It cannot start; raise the memory limit\./);
  });

  test('has no secret in its layers or settings, and no history of a shell', async () => {
    const history = await docker('history', '--no-trunc', '--format', '{{.CreatedBy}}', image.name);
    const settings = await docker('image', 'inspect', '--format', '{{json .Config}}', image.name);
    const secret =
      /password|passwd|secret|token|api_?key|private key|_auth|:\/\/[^/\s"]*:[^/\s"]*@/i;
    expect(history).not.toMatch(secret);
    expect(settings).not.toMatch(secret);
    const names = ['.npmrc', '.netrc', '.env', '*_history', 'id_*sa', '.git-credentials'];
    const tests = names.map((name) => `-name '${name}'`).join(' -o ');
    const search = `find / -xdev \\( ${tests} \\) 2>/dev/null || true`;
    expect(await runIn(image.name, 'sh', '-c', search)).toBe('');
  });
});

function runIn(image: string, program: string, ...parameters: string[]): Promise<string> {
  const isolated = ['run', '--rm', '--network=none', `--entrypoint=${program}`];
  return docker(...isolated, image, ...parameters);
}
