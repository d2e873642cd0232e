// The workers of `npm start`, for its own API: the page shows them and may have one killed, so one sees
// that no request is lost. The API only asks. It is `npm start` that kills, and nothing but its own workers.
//
// An API that has never been told of workers knows no address to kill them. So there is none in an image, or
// where others reach the API.

import type { ChildMessage } from '../../shared/process/lifecycle.js';
import type { Child } from './children.js';

export interface LocalWorkers {
  /** Tells the API of workers from now on. */
  open(): void;
  /** Notes that a worker is ready. */
  addReady(worker: Child): void;
  /** Tells the API which workers there are. */
  announce(): void;
  /** Does what the API asks for. */
  hear(message: ChildMessage): void;
}

export function makeLocalWorkers(started: {
  readonly api: ReadonlySet<Child>;
  readonly worker: ReadonlySet<Child>;
}): LocalWorkers {
  const ready = new WeakSet<Child>();
  let isOpen = false;

  return {
    open: () => {
      isOpen = true;
    },
    addReady: (worker) => ready.add(worker),
    announce() {
      if (!isOpen) return;
      const workers = [...started.worker].map((worker) => ({
        pid: worker.pid,
        isReady: ready.has(worker),
      }));
      for (const api of started.api) api.send({ event: 'workers', workers });
    },
    hear(message) {
      if (!isOpen || message.event !== 'kill-worker') return;
      const worker = [...started.worker].find(({ pid }) => pid === message.pid);
      // One that is still starting would end `npm start`.
      if (worker && ready.has(worker)) worker.kill('SIGKILL');
    },
  };
}
