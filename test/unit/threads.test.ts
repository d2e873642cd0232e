import { spawnSync } from 'node:child_process';
import process from 'node:process';
import { expect, test } from 'vitest';
import { withThreads } from '../../cli/processes/threads.js';
import { readConfiguration } from '../../shared/configuration/configuration.js';

test('a process gets threads for its cores, and the API reads how many', () => {
  const { UV_THREADPOOL_SIZE: _ours, ...environment } = process.env;
  const script = 'console.log(process.env.UV_THREADPOOL_SIZE, os.availableParallelism())';
  const { stdout } = spawnSync(process.execPath, ['-e', script], { env: withThreads(environment) });
  const [threads = '', cores] = String(stdout).trim().split(' ');
  expect(Number(threads)).toBeGreaterThan(Number(cores));
  expect(readConfiguration('api', { UV_THREADPOOL_SIZE: threads }).UV_THREADPOOL_SIZE).toBe(
    Number(threads),
  );
});

test('a number of threads that is set stays', () => {
  expect(withThreads({ UV_THREADPOOL_SIZE: '7' })).toEqual({ UV_THREADPOOL_SIZE: '7' });
});
