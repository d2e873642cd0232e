// What `npm run models -- add FILE --export` says when an exporter fails. Scripts stand in for the Python that runs it.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { describe, expect, test } from 'vitest';
import { exportModel } from '../../cli/models/export.js';
import { readTextIfAny } from '../../shared/files/text-file.js';
import { isAlive, root, waitUntil } from '../harness.js';
import { makeFolder } from '../unit/sample-model.js';

/** Exports a pickle with a program in place of Python. Returns why it failed. */
async function failureOf(program: string): Promise<string> {
  const folder = makeFolder({ python: `#!/bin/sh\n${program}\n`, 'model.pkl': '' });
  const python = path.join(folder, 'python');
  chmodSync(python, 0o755);
  const wishes = { file: path.join(folder, 'model.pkl'), format: 'pickle' as const };
  return exportModel({ ...wishes, python, shape: [] }, folder, () => undefined).then(
    () => 'It did not fail.',
    ({ message }) => message,
  );
}

describe('an exporter that fails', () => {
  test('is told to lack its packages only if it cannot even say how it is used', async () => {
    const advice = 'It needs the packages in exporters/scikit-learn.txt beside those';
    expect(await failureOf('exit 1')).toContain(`it failed, as said above. ${advice}`);
    const refused = await failureOf('[ "$2" = --help ] && exit 0; exit 1');
    expect(refused).toMatch(/it failed, as said above$/);
  });

  test('is named with the signal that ended it, since it says nothing itself', async () => {
    const crashed = await failureOf('kill -FPE $$');
    expect(crashed).toContain('it was ended by SIGFPE, a crash in one of its packages');
    expect(crashed).toContain('served as a Python program: docs/python.md');
    expect(crashed).not.toContain('It needs the packages');
  });
});

test.each(['SIGINT', 'SIGTERM'] as const)(
  'an exporter ends with its command at a %s, and so do the programs that it runs',
  async (signal) => {
    const folder = makeFolder({
      python: '#!/bin/sh\nsleep 600 &\necho $! > "$(dirname "$0")/pid"\nwait\n',
      'model.pkl': Buffer.from([0x80, 4, 0x4e, 0x2e]),
    });
    const python = path.join(folder, 'python');
    chmodSync(python, 0o755);
    const command = path.join(root, 'dist/cli/models.js');
    const parameters = ['add', path.join(folder, 'model.pkl'), '--export', '--python', python];
    const env = { ...process.env, MODELS_DIR: path.join(folder, 'models') };
    mkdirSync(env.MODELS_DIR);
    const child = spawn(process.execPath, [command, ...parameters], { env });
    const pid = () => Number(readTextIfAny(path.join(folder, 'pid')));
    await waitUntil('the exporter runs', () => pid() > 0, 15_000);
    child.kill(signal);
    expect(await once(child, 'exit')).toEqual([null, signal]);
    await waitUntil('its programs have ended', () => !isAlive(pid()), 5000);
  },
);
