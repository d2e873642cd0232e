import { spawnSync } from 'node:child_process';
import path from 'node:path';
import process from 'node:process';
import { describe, expect, test } from 'vitest';
import { heapArguments, setsHeapSizes } from '../../cli/processes/heap.js';
import { memoryLimitBytes } from '../../shared/process/memory-limit.js';
import { packageDirectory } from '../../shared/version.js';

const gibibyte = 1024 ** 3;

describe("the sizes of V8's heap", () => {
  test.each([
    [gibibyte / 4, [8, 32, 128]],
    [gibibyte, [32, 128, 512]],
    [2 * gibibyte, [64, 256, 1024]],
    [24 * gibibyte, [64, 256, 4096]],
    [1, [1, 1, 1]],
  ])(
    'for %d bytes of memory are a share of it, up to what is useful',
    (bytes, [semi, old, max]) => {
      expect(heapArguments(bytes)).toEqual([
        `--max-semi-space-size=${semi}`,
        `--initial-old-space-size=${old}`,
        `--max-old-space-size=${max}`,
      ]);
    },
  );

  test('are arguments that Node takes', () => {
    const { status, stderr } = spawnSync(process.execPath, [...heapArguments(gibibyte), '-e', '']);
    expect({ status, stderr: String(stderr) }).toEqual({ status: 0, stderr: '' });
  });

  test('stand beside settings for its compilers that Node takes without a word', () => {
    const module = path.join(packageDirectory(), 'dist/shared/process/early-optimisation.js');
    const program = `import { optimiseEarly } from ${JSON.stringify(module)}; optimiseEarly();`;
    const parameters = ['--input-type=module', '-e', program];
    const { status, stderr } = spawnSync(process.execPath, parameters, { encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });

  test('follow the memory of the machine or of its limit', () => {
    expect(memoryLimitBytes()).toBeGreaterThan(gibibyte / 8);
    expect(memoryLimitBytes()).toBeLessThan(Number.MAX_SAFE_INTEGER);
  });

  test('give way to sizes in NODE_OPTIONS', () => {
    expect(setsHeapSizes({})).toBe(false);
    expect(setsHeapSizes({ NODE_OPTIONS: '--import ./x.js' })).toBe(false);
    expect(setsHeapSizes({ NODE_OPTIONS: '--max-old-space-size=100' })).toBe(true);
    expect(setsHeapSizes({ NODE_OPTIONS: '--max-semi-space-size=1' })).toBe(true);
  });
});

describe('the launcher of the images', () => {
  const launch = (parameters: string[], environment: NodeJS.ProcessEnv = {}) => {
    const launcher = path.join(packageDirectory(), 'dist/cli/launch.js');
    return spawnSync(process.execPath, [launcher, ...parameters], {
      env: { PATH: process.env.PATH, ...environment },
      encoding: 'utf8',
    });
  };

  test('says which roles there are', () => {
    const { status, stderr } = launch(['workers']);
    expect(status).toBe(1);
    expect(stderr).toContain('api | worker; got workers');
  });

  test.runIf('execve' in process).each(['api', 'worker'])('becomes the %s', (role) => {
    const { status, stderr } = launch([role], { REDIS_URL: 'http://x' });
    expect(status).toBe(1);
    expect(stderr).toMatch(/^REDIS_URL: expected /);
  });

  test.runIf(!('execve' in process))('says which Node it needs', () => {
    const { status, stderr } = launch(['api']);
    expect(status).toBe(1);
    expect(stderr).toContain(`Node 22.15 or later; this is ${process.version}`);
  });
});
