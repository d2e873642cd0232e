// Variables that Node and the C library read before our code runs, so the images and local runs set them when they start a
// process.

import { countProcessors } from '../../shared/process/processors.js';

/** How many threads Node has by itself. */
const threadsMin = 4;

/**
 * Larger blocks go back to the system when they are freed. By itself, glibc raises this bound to the largest block that
 * was freed, and then keeps what a model took: 363 MB of one of 201 MB (docs/design.md, decision 66). Smaller blocks, such as
 * the pixels of a batch, are used again without a page fault.
 */
const blockBytesMax = 4 * 1024 ** 2;

/** Adds what is not set: threads enough to decode an image on each core, and how memory goes back. */
export function withRuntimeSettings(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const threads = Math.max(threadsMin, countProcessors() + 2);
  return {
    UV_THREADPOOL_SIZE: String(threads),
    MALLOC_MMAP_THRESHOLD_: String(blockBytesMax),
    ...environment,
  };
}
