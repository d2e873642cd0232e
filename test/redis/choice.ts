// Decides once, before all tests, which Redis they get. It also removes containers that are left: at the
// end those of this run, and at the start those of earlier runs that were killed.

import os from 'node:os';
import process from 'node:process';
import type { TestProject } from 'vitest/node';
import { docker, findDockerProblem, hasImage } from '../../cli/docker/docker.js';

export const redisImage = process.env.REDIS_IMAGE ?? 'redis:7-bookworm';
/** The label of all containers of the tests. Its value is the machine and the process id of a run. */
export const runLabel = 'scoreline.tests';

declare module 'vitest' {
  interface ProvidedContext {
    redis: 'docker' | 'local';
    run: string;
  }
}

export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const problem = await findDockerProblem();
  const { choice, reason } = await choose(process.env.TEST_REDIS, problem);
  process.stderr.write(`Redis for the tests: ${choice} (${reason})\n`);
  provide('redis', choice);
  provide('run', `${os.hostname()} ${process.pid}`);
  if (problem) return async () => {};
  await removeContainers((pid) => pid !== process.pid && !isRunning(pid));
  return () => removeContainers((pid) => pid === process.pid);
}

/** Removes the containers of those runs on this machine. */
async function removeContainers(isMeant: (pid: number) => boolean): Promise<void> {
  const format = `{{.ID}} {{.Label "${runLabel}"}}`;
  const list = await docker('ps', '--all', '--filter', `label=${runLabel}`, '--format', format);
  const ids = list.split('\n').flatMap((line) => {
    const [id, host, pid] = line.split(' ');
    return id && host === os.hostname() && isMeant(Number(pid)) ? [id] : [];
  });
  if (ids.length > 0) await docker('rm', '--force', '--volumes', ...ids);
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/**
 * An image that is missing is not fetched unasked: the tests would wait for a registry, or fail
 * without one.
 */
async function choose(
  told: string | undefined,
  problem: string | undefined,
): Promise<{ choice: 'docker' | 'local'; reason: string }> {
  switch (told) {
    case 'local':
      return { choice: 'local', reason: 'TEST_REDIS says so' };
    case 'docker':
      if (problem) throw new Error(`TEST_REDIS=docker: ${problem}`);
      return { choice: 'docker', reason: `${redisImage}; TEST_REDIS says so` };
    case undefined:
    case '':
      if (problem) return { choice: 'local', reason: problem };
      if (await hasImage(redisImage)) return { choice: 'docker', reason: redisImage };
      return { choice: 'local', reason: `${redisImage} is not here; docker pull gets it` };
    default:
      throw new Error(`TEST_REDIS: expected docker or local; got ${told}`);
  }
}
