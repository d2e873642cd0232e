// How the versions of models do, in words: whether they have workers, and which requests they get.

import { percent } from './format.js';
import { countOf, type Listed } from './model-list.js';
import type { ModelInfo } from './service.js';

export type Waiting = Listed['waiting'][number];

export interface Health {
  readonly state: 'ready' | 'starting' | 'idle' | 'failed';
  readonly text: string;
}

export function healthOf(model: ModelInfo, waiting: readonly Waiting[]): Health {
  const { workers, unanswered } = model;
  if (workers > 0) return { state: 'ready', text: countOf(workers, 'worker') };
  if (faultOf(model, waiting)) return { state: 'failed', text: 'cannot be loaded' };
  if ((unanswered ?? 0) > 0) return { state: 'starting', text: 'warming up' };
  return { state: 'idle', text: 'scaled to zero' };
}

/** Returns why no worker can load a version that is served and has none; undefined if one can. */
export function faultOf(model: ModelInfo, waiting: readonly Waiting[]): Waiting | undefined {
  return model.workers === 0
    ? waiting.find((each) => each.state === 'failed' && isSame(each, model))
    : undefined;
}

/** How a version does that gets no requests. */
export function healthOfWaiting({ state }: Waiting): Health {
  const states = {
    loading: { state: 'starting', text: 'loading' },
    failed: { state: 'failed', text: 'cannot be loaded' },
    unloaded: { state: 'idle', text: 'unloaded' },
    draining: { state: 'idle', text: 'draining' },
  } as const;
  return states[state];
}

/** Which requests a version gets, and what else is to be said of that. */
export function trafficOf({ traffic }: ModelInfo): {
  readonly what: string;
  readonly more?: string;
} {
  const { latest, share, sticky, shadow } = traffic;
  if (shadow) {
    const { of, same, different, failed, left_out } = shadow;
    const what = `shadow of ${of.join(', ') || 'none'}: copies of ${shadow.percent} %`;
    const counts = [
      ...[`${same} same`, `${different} different`, `${failed} failed`],
      ...(left_out > 0 ? [`${left_out} left out`] : []),
    ];
    return { what, more: counts.join(', ') };
  }
  if (share === 0) return { what: 'only those that name it' };
  const what = latest ? `latest, ${percent(share)}` : percent(share);
  return sticky === undefined ? { what } : { what, more: `shared by ${sticky}` };
}

function isSame(one: Waiting, { name, version }: ModelInfo): boolean {
  return one.name === name && one.version === version;
}
