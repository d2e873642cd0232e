// What the parts of a trial share.

import { selectorOf } from '../../k8s/names.js';
import type { Plan } from '../../k8s/plan.js';
import type { Catalogue } from '../catalogue.js';
import type { Address } from '../client.js';
import { makeJudge } from '../judge.js';
import { type Load, makeLoad } from '../load.js';
import { makeTally, type Tally } from '../tally.js';
import { makeTimeline, type Timeline } from '../timeline.js';
import { waitUntil } from '../wait.js';
import type { Kubectl } from './kubectl.js';
import { followPods, type Pods } from './pods.js';
import { makeTimes, type Times } from './times.js';

const seenWithinMs = 10_000;

export interface StageOptions {
  readonly kubectl: Kubectl;
  readonly plan: Plan;
  readonly address: Address;
  readonly catalogue: Catalogue;
  readonly seed: number;
  readonly say: (line: string) => void;
}

export interface Stage extends StageOptions {
  readonly pods: Pods;
  readonly load: Load;
  readonly tally: Tally;
  readonly timeline: Timeline;
  readonly times: Times;
  readonly now: () => number;
}

/** Resolves once the pods of the API are seen. Close its pods in the end. */
export async function openStage(options: StageOptions): Promise<Stage> {
  const { address, catalogue, kubectl, seed, say } = options;
  const now = () => performance.now();
  const timeline = makeTimeline(catalogue.models, now);
  const tally = makeTally({ models: catalogue.models, timeline, say, now });
  const judge = makeJudge(timeline, catalogue.formOf);
  const load = makeLoad({ target: { ...catalogue, address }, judge, tally, seed, now });
  const pods = followPods(kubectl, now);
  await waitUntil(() => pods.having(selectorOf('api')).length > 0, seenWithinMs);
  return {
    ...options,
    pods,
    load,
    tally,
    timeline,
    times: makeTimes(say),
    now,
  };
}
