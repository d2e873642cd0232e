import os from 'node:os';
import { describe, expect, test } from 'vitest';
import { countCores, countProcessors } from '../../shared/process/processors.js';
import { makeFolder } from './sample-model.js';

const here = os.availableParallelism();
const rootOf = (files: Record<string, unknown>) => `${makeFolder(files)}/`;

describe('the processors of a process', () => {
  test.each([
    ['none is known', {}],
    ['there is none (cgroup 2)', { 'sys/fs/cgroup/cpu.max': 'max 100000\n' }],
    [
      'there is none (cgroup 1)',
      {
        'sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1\n',
        'sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
      },
    ],
    [
      'it is larger than the machine',
      { 'sys/fs/cgroup/cpu.max': `${(here + 1) * 100000} 100000\n` },
    ],
    ['it is nonsense', { 'sys/fs/cgroup/cpu.max': 'much\n' }],
  ])('are those of the machine if its container has no limit: %s', (_, files) => {
    expect(countProcessors(rootOf(files))).toBe(here);
  });

  test.each([
    ['2', (quota: number) => ({ 'sys/fs/cgroup/cpu.max': `${quota} 100000\n` })],
    [
      '1',
      (quota: number) => ({
        'sys/fs/cgroup/cpu/cpu.cfs_quota_us': `${quota}\n`,
        'sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
      }),
    ],
  ])('are those that the limit of its container allows (cgroup %s)', (_, limit) => {
    for (const [quota, expected] of [
      [100, 1],
      [100000, 1],
      [150000, 2],
    ] as const) {
      expect(countProcessors(rootOf(limit(quota)))).toBe(Math.min(expected, here));
    }
  });
});

describe('the cores of a process', () => {
  const cpus = 'sys/devices/system/cpu';
  const siblings = (lists: readonly string[]) => ({
    [`${cpus}/cpufreq`]: '',
    ...Object.fromEntries(
      lists.map((list, at) => [`${cpus}/cpu${at}/topology/thread_siblings_list`, `${list}\n`]),
    ),
  });

  test('are as many as its processors where each has its own', () => {
    expect(countCores(rootOf(siblings(['0', '1', '2', '3'])))).toBe(here);
    expect(countCores(rootOf({}))).toBe(here);
  });

  test('are half as many where two share one, and at least one', () => {
    const shared = siblings(['0-1', '0-1', '2-3', '2-3']);
    expect(countCores(rootOf(shared))).toBe(Math.max(1, Math.floor(here / 2)));
    // A limit is one of time, which processors of different cores may spend.
    const limited = { ...shared, 'sys/fs/cgroup/cpu.max': '200000 100000\n' };
    expect(countCores(rootOf(limited))).toBe(Math.max(1, Math.min(2, Math.floor(here / 2))));
  });
});
