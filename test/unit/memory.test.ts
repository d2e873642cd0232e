import { describe, expect, test } from 'vitest';
import { MemoryRoom, readMemory } from '../../worker/memory.js';
import { errorOf, makeFolder, makeSampleModel } from './sample-model.js';

const mebi = 1024 ** 2;
const modelOf = (mebibytes: number, instances = 1) =>
  makeSampleModel({
    device: { type: 'cpu', threads: 1, instances },
    source: { file: 'model.onnx', bytes: mebibytes * mebi, sha256: 'a'.repeat(64) },
  }).manifest;

describe('the memory for a model', () => {
  const room = (mebibytes: number) =>
    new MemoryRoom(() => ({ availableBytes: mebibytes * mebi, bound: 'here' }));

  test('is promised if it is there, and what is promised is not promised again', () => {
    const half = room(400);
    const release = half.reserve(modelOf(100));
    expect(errorOf(() => half.reserve(modelOf(100))).code).toBe('memory_insufficient');
    release();
    release();
    half.reserve(modelOf(100));
  });

  test('is promised for each instance', () => {
    room(564).reserve(modelOf(100, 2));
    const { message } = errorOf(() => room(563).reserve(modelOf(100, 2)));
    expect(message).toContain('expected 564 MiB of memory to load version 1');
    expect(message).toContain('and 32 MiB for each of 2 instances; got 563 MiB');
  });

  test('is refused with the figures if it is not there', () => {
    const { code, message } = errorOf(() => room(281).reserve(modelOf(100)));
    expect(code).toBe('memory_insufficient');
    expect(message).toBe(
      'sample: expected 282 MiB of memory to load version 1, 2.5 times the 100 MiB of its files and 32 MiB; got 281 MiB (here). Give the worker more memory, or unload another model.',
    );
  });
});

describe('the memory that is left', () => {
  const meminfo = { 'proc/meminfo': 'MemTotal: 2048000 kB\nMemAvailable: 1024000 kB\n' };
  const read = (files: Record<string, unknown>) => readMemory(`${makeFolder(files)}/`);

  test('is that of the machine, without a limit', () => {
    const unlimited = { 'sys/fs/cgroup/memory.max': 'max\n' };
    for (const files of [meminfo, { ...meminfo, ...unlimited }]) {
      expect(read(files).availableBytes).toBe(1024000 * 1024);
    }
  });

  test.each([
    ['2', ['memory.max', 'memory.current', 'memory.stat', 'inactive_file']],
    [
      '1',
      [
        ...['memory/memory.limit_in_bytes', 'memory/memory.usage_in_bytes'],
        ...['memory/memory.stat', 'total_inactive_file'],
      ],
    ],
  ])('is what the limit of a container leaves, cached files aside (cgroup %s)', (_, names) => {
    const [limit, used, statistics, cached] = names;
    const memory = read({
      ...meminfo,
      [`sys/fs/cgroup/${limit}`]: `${512 * mebi}\n`,
      [`sys/fs/cgroup/${used}`]: `${400 * mebi}\n`,
      [`sys/fs/cgroup/${statistics}`]: `anon 7\n${cached} ${100 * mebi}\n`,
    });
    expect(memory).toEqual({
      availableBytes: 212 * mebi,
      bound: "left of the container's 512 MiB",
    });
  });

  test('is something on a machine without these files', () => {
    expect(read({}).availableBytes).toBeGreaterThan(0);
  });
});
