// What every process says about itself: processor time, memory, event loop, version.

import { hostname } from 'node:os';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import process from 'node:process';
import { getHeapStatistics } from 'node:v8';
import type { Role } from '../configuration/configuration.js';
import { packageVersion } from '../version.js';
import type { Instruments } from './instruments.js';

/** How often the delay of the event loop is measured. */
const resolutionMs = 20;

/** Adds the metrics of the process. Returns a function that ends the measurement. */
export function observeProcess(instruments: Instruments, role: Role): () => void {
  const delay = monitorEventLoopDelay({ resolution: resolutionMs });
  delay.enable();
  const version = packageVersion();
  instruments.read('build', () => [[{ role, version, host: hostname() }, 1]]);
  instruments.readOne('cpuSeconds', () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });
  instruments.readOne('memoryBytes', () => process.memoryUsage.rss());
  instruments.readOne('startSeconds', () => performance.timeOrigin / 1000);
  instruments.readOne('heapBytes', () => getHeapStatistics().used_heap_size);
  instruments.readOne('heapMaxBytes', () => getHeapStatistics().heap_size_limit);
  instruments.readOne('loopActiveSeconds', () => performance.eventLoopUtilization().active / 1000);
  instruments.readOne('loopLagSeconds', () => {
    // The histogram holds the time between two turns of the timer. It has none right after a reset.
    const nanoseconds = delay.count > 0 ? delay.percentile(99) : 0;
    delay.reset();
    return Math.max(0, nanoseconds / 1e9 - resolutionMs / 1000);
  });
  return () => delay.disable();
}
