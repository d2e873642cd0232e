// How much memory this process may take.

import os from 'node:os';
import process from 'node:process';

/** Returns the limit of the container in bytes, or the memory of the machine if that is less. */
export function memoryLimitBytes(): number {
  const limit = process.constrainedMemory() || Number.POSITIVE_INFINITY;
  return Math.min(limit, os.totalmem());
}
