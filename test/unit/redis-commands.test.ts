import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { neededCommands } from '../../shared/redis/commands.js';
import { packageDirectory } from '../../shared/version.js';

const filesIn = (folder: string) =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => path.join(folder, name));

test('the rights that are asked for are those of all our scripts', () => {
  const root = packageDirectory();
  const sources = ['api', 'worker', 'shared'].flatMap((folder) => filesIn(path.join(root, folder)));
  const called = sources.flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(/redis\.call\('([A-Z]+)'/g)].map(([, name]) => name),
  );
  expect(called.length).toBeGreaterThan(50);
  // Sentinels are asked this, by another user.
  const needed = new Set([...neededCommands, 'sentinel']);
  const missing = [...new Set(called)].filter((name) => !needed.has(String(name).toLowerCase()));
  expect(missing).toEqual([]);
});
