// The workers of a local run, as `npm start` tells its API of them. Nobody else tells of workers, so there
// are none elsewhere.

import type { LocalWorker, Parent } from '../../shared/process/lifecycle.js';

export interface LocalWorkers {
  /** Undefined unless this is a local run. */
  readonly all: readonly LocalWorker[] | undefined;
  /** Asks `npm start` to kill a worker at once. It starts another one a second later. */
  kill(pid: number): void;
}

export function openLocalWorkers(parent: Parent | undefined): LocalWorkers {
  let all: readonly LocalWorker[] | undefined;
  parent?.listen(({ event, workers }) => {
    if (event === 'workers') all = workers;
  });
  return {
    get all() {
      return all;
    },
    kill: (pid) => parent?.send({ event: 'kill-worker', pid }),
  };
}
