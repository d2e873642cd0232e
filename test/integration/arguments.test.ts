// Tests that each command says how it is used, and refuses arguments which it would otherwise leave unread.

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { runCommand } from '../command.js';
import { root } from '../harness.js';

test.each([
  ['start', ['--port', '9000'], "Unknown option '--port'"],
  ['start', ['now'], "Unexpected argument 'now'"],
  ['sbom', ['sbom.json'], "Unexpected argument 'sbom.json'"],
  ['generate', ['--chek'], "Unknown option '--chek'"],
  ['image', ['environments', 'a', 'b'], 'Got: environments a b'],
  ['score', ['a', 'b', 'c'], 'Got: a b c'],
  ['faq', ['a', 'b', '--name', 'c'], 'Got: a b --name c'],
  ['keys', ['list', 'all'], 'Got: list all'],
  ['keys', ['create', 'a', '--models', 'b', '--models', 'c'], "option '--models' once"],
  ['launch', ['api', 'worker'], 'got api worker'],
  // An empty setting is none.
  ['models', ['check', 'nobody'], 'There is no model "nobody". The models here: breast-cancer,'],
  ['dashboard', ['--out', 'a.svg', '--prometheus', 'b'], '--prometheus: expected an address'],
])('%s %j says what it got', async (command, parameters, fault) => {
  const { code, out, err } = await runCommand(command, parameters, { env: { MODELS_DIR: '' } });
  expect([code, out]).toEqual([1, '']);
  expect(err).toContain(fault);
});

// One of each way in which commands begin.
test.each([
  ['start', ['--help'], /^Usage: npm start\n/],
  ['test', ['-h'], /^Usage: npm test /],
  ['bench', ['soak', '--help'], /^Usage: npm run bench -- NAME /],
  ['fuzz', ['help'], /^Usage: npm run fuzz /],
  ['models', ['add', '--name', 'x', '-h'], /^Usage: npm run models -- add FILE .*\n$/],
  ['python', ['--help'], /^Usage: npm run python /],
])('%s %j says how it is used, and does nothing else', async (command, parameters, usage) => {
  const { code, out, err } = await runCommand(command, parameters);
  expect([code, err]).toEqual([0, '']);
  expect(out).toMatch(usage);
});

test('every command of package.json says how it is used before it begins', () => {
  const { scripts } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
  const started = Object.values<string>(scripts).flatMap((script) =>
    [...script.matchAll(/bootstrap\.mjs ([\w-]+)/g)].map(([, name]) => name as string),
  );
  expect(started.length).toBeGreaterThan(20);
  const silent = [...new Set(started)].filter((name) => {
    const source = readFileSync(path.join(root, `cli/${name}.ts`), 'utf8');
    return !/^(await run(Command|Seeded)\(.*usage,|helpIfAsked\()/m.test(source);
  });
  expect(silent).toEqual([]);
});
