// Tests that each command refuses arguments which it would otherwise leave unread.

import { expect, test } from 'vitest';
import { runCommand } from '../command.js';

test.each([
  ['start', ['--port', '9000'], "Unknown option '--port'"],
  ['start', ['now'], "Unexpected argument 'now'"],
  ['sbom', ['sbom.json'], "Unexpected argument 'sbom.json'"],
  ['generate', ['--chek'], "Unknown option '--chek'"],
  ['image', ['environments', 'a', 'b'], 'Got: environments a b'],
  ['score', ['a', 'b', 'c'], 'Got: a b c'],
  ['faq', ['a', 'b', '--name', 'c'], 'Got: a b --name c'],
  ['keys', ['list', 'all'], 'Got: list all'],
  ['launch', ['api', 'worker'], 'got api worker'],
])('%s %j says what it got', async (command, parameters, fault) => {
  const { code, out, err } = await runCommand(command, parameters, {});
  expect([code, out]).toEqual([1, '']);
  expect(err).toContain(fault);
});
