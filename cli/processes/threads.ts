// The size of Node's thread pool, for the images and for local runs alike. Node reads it from the
// environment before our code runs, so whoever starts a process has to set it.

import { countProcessors } from '../../shared/process/processors.js';

/** How many threads Node has by itself. */
const threadsMin = 4;

/** Adds a size of the pool unless there is one: enough to decode an image on each core. */
export function withThreads(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const threads = Math.max(threadsMin, countProcessors() + 2);
  return { UV_THREADPOOL_SIZE: String(threads), ...environment };
}
