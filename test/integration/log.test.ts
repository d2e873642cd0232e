// Lines of the log where the disk with them is full. A limit for the size of files stands for the disk.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync, readFileSync, truncateSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { expect, test } from 'vitest';
import { makeFolder } from '../unit/sample-model.js';

const module = JSON.stringify(new URL('../../shared/process/log.js', import.meta.url).href);
const program = `
  import { makeLogger } from ${module};
  const log = makeLogger({ role: 'api', level: 'info' });
  const say = (from, to) => { for (let at = from; at < to; at++) log.info({ at }, 'a line'); };
  process.on('message', () => { say(150, 151); process.disconnect(); });
  say(0, 150);
  process.send('full');`;

test('a log whose disk is full ends no process, and has all its lines once there is room', async () => {
  const file = path.join(makeFolder({ log: '' }), 'log');
  const script = 'ulimit -f 8; exec "$@"';
  const child = spawn(
    'bash',
    ['-c', script, 'bash', process.execPath, '--input-type=module', '-e', program],
    { stdio: ['ignore', openSync(file, 'a'), 'inherit', 'ipc'] },
  );
  const exited = once(child, 'exit');
  expect(await Promise.race([once(child, 'message'), exited])).toEqual(['full', undefined]);
  const before = readFileSync(file, 'utf8');
  expect(before.length).toBeLessThan(10_000);
  truncateSync(file);
  child.send('again');
  expect(await exited).toEqual([0, null]);
  const lines = (before + readFileSync(file, 'utf8')).trimEnd().split('\n');
  expect(lines.map((line) => JSON.parse(line).at)).toEqual(
    Array.from({ length: 151 }, (_, at) => at),
  );
});
