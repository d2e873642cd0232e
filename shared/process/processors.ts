// How many processors this process may use. Node 20 does not know the limit of a container, so it would start a thread
// for each processor of the machine, and they would share the time of a few.

import os from 'node:os';
import { namesIn } from '../files/names-in.js';
import { readTextIfAny } from '../files/text-file.js';

/** Returns how many processors this process may run on: those of the machine, or fewer in a container with a limit. */
export function countProcessors(root = '/'): number {
  return atMostLimit(os.availableParallelism(), root);
}

/**
 * Returns how many cores this process may use. Two processors of one core share what computes, so for a model's run
 * they count as one.
 */
export function countCores(root = '/'): number {
  return atMostLimit(Math.floor(os.availableParallelism() / processorsPerCore(root)), root);
}

/** The limit is one of time, so it may be spent on processors of different cores. */
function atMostLimit(count: number, root: string): number {
  return Math.max(1, Math.min(count, Math.ceil(readLimit(root))));
}

/** Returns the processors that the container's limit allows, such as 1.5. */
function readLimit(root: string): number {
  const group = `${root}sys/fs/cgroup`;
  const [quota, period] =
    readTextIfAny(`${group}/cpu.max`)?.split(' ') ??
    ['quota', 'period'].map((part) => readTextIfAny(`${group}/cpu/cpu.cfs_${part}_us`));
  const limit = Number(quota) / Number(period);
  // Without a limit, the quota is "max" or -1.
  return limit > 0 ? limit : Number.POSITIVE_INFINITY;
}

function processorsPerCore(root: string): number {
  const folder = `${root}sys/devices/system/cpu`;
  const siblings = namesIn(folder)
    .filter((name) => /^cpu\d+$/.test(name))
    .map((name) => readTextIfAny(`${folder}/${name}/topology/thread_siblings_list`))
    .filter((list) => list !== undefined);
  return siblings.length === 0 ? 1 : siblings.length / new Set(siblings).size;
}
