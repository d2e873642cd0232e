// What a run can put under load, and which faults each of these can have.

import { startCompose } from './compose.js';
import { startFlask } from './flask.js';
import type { FaultKind } from './schedule.js';
import { startScoreline } from './scoreline.js';
import type { Target, TargetOptions } from './target.js';

interface TargetChoice {
  /** Rejects if the target cannot be started, or is not ready in time. */
  start(options: TargetOptions): Promise<Target>;
  readonly faults: readonly FaultKind[];
  /** Without `redis-kill`: it may lose the last second by design (appendfsync everysec). */
  readonly defaultFaults: readonly FaultKind[];
  /** How many times rarer faults are than with processes, which start more quickly. */
  readonly stretch: number;
}

const everywhere = [
  ...['kill', 'term', 'stop'],
  ...['redis-restart', 'redis-cut', 'api-restart', 'poison', 'hang-up'],
] as FaultKind[];
const inContainers: FaultKind[] = [...everywhere, 'worker-cut', 'api-cut', 'no-workers'];

export const targets: Readonly<Record<string, TargetChoice>> = {
  scoreline: {
    start: startScoreline,
    faults: [...everywhere, 'redis-kill'],
    defaultFaults: everywhere,
    stretch: 1,
  },
  compose: {
    start: startCompose,
    faults: [...inContainers, 'redis-kill'],
    defaultFaults: inContainers,
    stretch: 3,
  },
  flask: {
    start: startFlask,
    faults: ['kill', 'term', 'stop', 'hang-up'],
    defaultFaults: ['kill'],
    stretch: 1,
  },
};
