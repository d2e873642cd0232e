// Tests how a command that makes a folder ends halfway.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
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
