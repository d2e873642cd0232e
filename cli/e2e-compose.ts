// Tries docker-compose.yml with images of its own.

import { spawn } from 'node:child_process';
import path from 'node:path';
import process from 'node:process';
import { formatContents, measureImage } from '../images/report.js';
import { packageDirectory } from '../shared/version.js';
import { runCommand } from './command.js';
import { buildImages, findComposeProblem } from './docker/compose.js';
import { endOf } from './temporary.js';

const root = packageDirectory();
const say = (line: string) => process.stderr.write(`${line}\n`);
const { API_IMAGE = 'scoreline-api', WORKER_IMAGE = 'scoreline-worker' } = process.env;

const usage = `Usage: npm run e2e:compose [-- ARGUMENT …]

Builds the images, says and checks what is in them, and runs docker-compose.yml from "up" to "down".
Without Docker and Compose it says so, and exits with 0. Arguments go to vitest.`;

await runCommand(usage, async () => {
  const problem = await findComposeProblem();
  if (problem === undefined) process.exitCode = await prove();
  else say(`Skipped: ${problem}`);
});

async function prove(): Promise<number> {
  say('Building the images …');
  await buildImages(path.join(root, 'docker-compose.yml'));
  for (const image of [API_IMAGE, WORKER_IMAGE]) {
    process.stdout.write(`${formatContents(image, await measureImage(image))}\n`);
  }
  const vitest = path.join(root, 'node_modules/vitest/vitest.mjs');
  const parameters = [vitest, 'run', 'dist/test/containers/', ...process.argv.slice(2)];
  const env = { ...process.env, SCORELINE_E2E: 'compose' };
  return endOf(spawn(process.execPath, parameters, { cwd: root, stdio: 'inherit', env }));
}
