// Decides once, before all tests, which Redis they get. Afterwards it removes the containers of tests
// that did not end in order.

import process from 'node:process';
import type { TestProject } from 'vitest/node';
import { docker, findDockerProblem, hasImage } from '../../cli/docker.js';

export const redisImage = process.env.REDIS_IMAGE ?? 'redis:7-bookworm';
/** Its value tells the containers of one run of the tests from those of another. */
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
  const run = `${process.pid}-${Date.now()}`;
  provide('redis', choice);
  provide('run', run);
  return async () => {
    if (problem) return;
    const left = await docker('ps', '--all', '--quiet', '--filter', `label=${runLabel}=${run}`);
    const ids = left.split('\n').filter((id) => id !== '');
    if (ids.length > 0) await docker('rm', '--force', '--volumes', ...ids);
  };
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
      if (problem) return { choice: 'local', reason: problem };
      if (await hasImage(redisImage)) return { choice: 'docker', reason: redisImage };
      return { choice: 'local', reason: `${redisImage} is not here; docker pull gets it` };
    default:
      throw new Error(`TEST_REDIS: expected docker or local; got ${told}`);
  }
}
