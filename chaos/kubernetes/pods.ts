// Follows the pods of a namespace, and notes when each of them came, was ready and went.

import type { IPod } from 'kubernetes-models/v1/Pod';
import type { Kubectl } from './kubectl.js';

/** A pod that exists or has existed. Its times are in ms, by the clock of `performance`. */
export interface SeenPod {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly seenAt: number;
  node: string | undefined;
  isReady: boolean;
  /** Whether it has been told to end. */
  isEnding: boolean;
  readyAt: number | undefined;
  goneAt: number | undefined;
  restarts: number;
  /** How its container has ended last: the reason, such as OOMKilled, and the last words. */
  lastEnd: { readonly reason: string; readonly message: string } | undefined;
}

export interface Pods {
  /** Every pod so far, the first one first. */
  readonly all: readonly SeenPod[];
  /** The pods that exist and have these labels. */
  having(labels: Readonly<Record<string, string>>): SeenPod[];
  close(): void;
}

type WatchEvent = { type: 'ADDED' | 'MODIFIED' | 'DELETED'; object: IPod };

export function followPods(kubectl: Kubectl, now: () => number): Pods {
  const seen = new Map<string, SeenPod>();
  const watch = kubectl.follow(
    ['get', 'pods', '--watch', '--output-watch-events', '--output=json'],
    (line) => note(seen, JSON.parse(line), now()),
  );
  return {
    get all() {
      return [...seen.values()];
    },
    having: (labels) =>
      [...seen.values()].filter(
        (pod) =>
          pod.goneAt === undefined &&
          Object.entries(labels).every(([key, value]) => pod.labels[key] === value),
      ),
    close: watch.close,
  };
}

function note(seen: Map<string, SeenPod>, { type, object }: WatchEvent, at: number): void {
  const { name = '', uid = '', labels = {}, deletionTimestamp } = object.metadata ?? {};
  const pod: SeenPod = seen.get(uid) ?? {
    name,
    labels,
    seenAt: at,
    node: undefined,
    isReady: false,
    isEnding: false,
    readyAt: undefined,
    goneAt: undefined,
    restarts: 0,
    lastEnd: undefined,
  };
  seen.set(uid, pod);
  const [container] = object.status?.containerStatuses ?? [];
  const ready = object.status?.conditions?.find((condition) => condition.type === 'Ready');
  pod.node = object.spec?.nodeName;
  pod.isReady = ready?.status === 'True';
  pod.isEnding = deletionTimestamp !== undefined;
  if (pod.isReady) pod.readyAt ??= at;
  if (type === 'DELETED') pod.goneAt = at;
  pod.restarts = container?.restartCount ?? 0;
  const { reason = '', message = '' } = container?.lastState?.terminated ?? {};
  pod.lastEnd = reason === '' ? undefined : { reason, message };
}
