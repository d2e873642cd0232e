// The variables of the worker that a model's program may see.

import process from 'node:process';

/**
 * Variables that are for the worker only, such as the password of Redis. How the worker gives memory back would cost a
 * program, which makes its arrays anew for each batch, a page fault for each 4 kB of them.
 */
const isOfWorker =
  /^(?:REDIS_|API_KEY|WEBHOOK_|APPLICATIONINSIGHTS_|OTEL_|NODE_|MALLOC_MMAP_THRESHOLD_)/;

export function variablesOfPrograms(): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !isOfWorker.test(name));
  return Object.fromEntries(own);
}
