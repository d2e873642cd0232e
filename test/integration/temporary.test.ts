// Tests how a command that makes a folder ends halfway.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { expect, test } from 'vitest';
import { root, waitUntil } from '../harness.js';
import { makeFolder } from '../unit/sample-model.js';

test.each(['SIGTERM', 'SIGHUP'] as const)(
  'a command that makes folders removes them at a %s, and ends by it',
  async (signal) => {
    const parent = makeFolder({});
    const script = `
      import { mkdirSync } from 'node:fs';
      import { orRemove, withFolder } from '${path.join(root, 'dist/cli/temporary.js')}';
      setInterval(() => {}, 1000);
      const other = '${parent}/other';
      const act = () => { mkdirSync(other); return new Promise(() => {}); };
      await withFolder('${parent}', 'one', () => orRemove(other, act));`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script]);
    await waitUntil('the folders are made', () => readdirSync(parent).length === 2);
    child.kill(signal);
    expect(await once(child, 'exit')).toEqual([null, signal]);
    expect(readdirSync(parent)).toEqual([]);
  },
);

test.each(['SIGTERM', 'SIGHUP', 'SIGINT'] as const)(
  'a %s to a command ends the program that it waits for, and both end by it',
  async (signal) => {
    const folder = makeFolder({});
    const script = `
      import { spawn } from 'node:child_process';
      import { endOf } from '${path.join(root, 'dist/cli/temporary.js')}';
      const program = "require('fs').writeFileSync('" + process.cwd() + "/pid', '' + process.pid); setInterval(() => {}, 1000)";
      process.exit(await endOf(spawn(process.execPath, ['-e', program])));`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { cwd: folder });
    const pid = () => Number(readFileSync(path.join(folder, 'pid'), 'utf8'));
    await waitUntil('the program runs', () => readdirSync(folder).length === 1 && pid() > 0);
    child.kill(signal);
    expect(await once(child, 'exit')).toEqual([null, signal]);
    expect(() => process.kill(pid(), 0)).toThrow('ESRCH');
  },
);
