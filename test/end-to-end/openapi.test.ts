// Tests the service by its own description: what it says is checked by a linter, and what the service does by
// Schemathesis, which sends what the description allows and what it forbids.
//
// A short run is a few hundred requests. `npm run conformance:openapi` sends thousands.

import { execFile } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Callers, makeCallers } from '../../fuzz/callers.js';
import { ask, root, waitUntil } from '../harness.js';
import { hasPython } from '../python.js';
import { writeFolder } from '../unit/sample-model.js';
import { type InferenceSite, openInferenceSite } from './inference-site.js';

const run = promisify(execFile);
const longExamples = process.env.OPENAPI_EXAMPLES;
const bufferMax = 100_000_000;

let folder: string;
let site: InferenceSite;
let callers: Callers;

beforeAll(async () => {
  folder = writeFolder({});
  site = await openInferenceSite({
    echoes: ['BOOL', 'INT64', 'BYTES'],
    environment: { AUTH: 'keys' },
  });
  callers = await makeCallers(site.redis.client);
  for (const key of [callers.score, callers.oneModel]) {
    await waitUntil('the API knows the key', async () => (await describedTo(key)).status === 200);
  }
});

afterAll(async () => {
  await site?.close();
  rmSync(folder, { recursive: true, force: true });
});

const describedTo = (key?: string) =>
  ask(`${site.service.url}/openapi.json`, {
    headers: key === undefined ? {} : { 'x-api-key': key },
  });

test('the linter finds nothing in it, for callers with all models, with one, and with none', async () => {
  const keys = [callers.score, callers.oneModel, undefined];
  const files = await Promise.all(
    keys.map(async (key, at) => {
      const { status, body } = await describedTo(key);
      expect(status).toBe(200);
      const file = path.join(folder, `${at}.json`);
      writeFileSync(file, JSON.stringify(body));
      return file;
    }),
  );
  const redocly = path.join(root, 'node_modules/@redocly/cli/bin/cli.js');
  const environment = {
    ...process.env,
    REDOCLY_TELEMETRY: 'off',
    REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true',
  };
  const options = ['lint', ...files, '--extends', 'recommended', '--format', 'json'];
  const { stdout } = await run(process.execPath, [redocly, ...options], { env: environment });
  const totals = stdout.match(/"(?:errors|warnings)": \d+/g);
  expect(totals).toEqual(files.flatMap(() => ['"errors": 0', '"warnings": 0']));
});

test.skipIf(!hasPython)(
  'the service does what it says, and nothing else (needs Python 3.11)',
  { timeout: 3_600_000 },
  async () => {
    const script = path.join(root, 'test/openapi/conformance.py');
    const requirements = path.join(root, 'test/openapi/requirements.txt');
    const scope = longExamples === undefined ? ['--phases', 'examples,fuzzing'] : [];
    const parameters = [
      ...[path.join(root, 'dist/cli/python.js'), requirements, script],
      ...[site.service.url, callers.score, '7', longExamples ?? '6', ...scope, '--no-color'],
    ];
    const environment = { ...process.env, NO_PROXY: '127.0.0.1,localhost' };
    // It keeps notes where it runs.
    const options = { env: environment, cwd: folder, maxBuffer: bufferMax };
    const { stdout, failed } = await run(process.execPath, parameters, options).then(
      (output) => ({ ...output, failed: false }),
      (error) => ({ stdout: String(error.stdout || error.message), failed: true }),
    );
    const [cases, count] = /(\d+) generated, .*/.exec(stdout) ?? [];
    if (longExamples !== undefined) process.stdout.write(`${cases}\n`);
    expect(failed ? stdout.slice(0, 20_000) : '').toBe('');
    expect(Number(count)).toBeGreaterThan(longExamples === undefined ? 200 : 5000);
  },
);
