// What earlier files had and the files of now have not: a model that was taken out, or another kind of entrance. `kubectl
// apply` leaves that in the cluster.

import { loadAll } from 'js-yaml';
import type { KubernetesObject } from './objects.js';

/** Returns the commands that delete from the cluster what only the earlier files have. */
export function deletionsOf(earlier: readonly string[], now: readonly string[]): string[] {
  const kept = new Set(now.flatMap(objectsIn).map(describe));
  const gone = earlier.flatMap(objectsIn).filter((object) => !kept.has(describe(object)));
  const namespaces = gone.filter(({ kind }) => kind === 'Namespace');
  const deleted = new Set(namespaces.map(({ metadata }) => metadata?.name));
  // A namespace takes along what is in it.
  const others = gone.filter(({ metadata }) => !deleted.has(metadata?.namespace));
  const places = new Set(others.map(({ metadata }) => metadata?.namespace));
  return [...places].map((namespace) => {
    const within = others.filter(({ metadata }) => metadata?.namespace === namespace);
    const place = namespace === undefined ? '' : `-n ${namespace} `;
    return `kubectl ${place}delete ${within.map(resourceOf).join(' ')}`;
  });
}

function objectsIn(text: string): KubernetesObject[] {
  try {
    return loadAll(text).filter(isObject);
  } catch {
    // Somebody has changed the file, and it is written anew.
    return [];
  }
}

function isObject(document: unknown): document is KubernetesObject {
  const { kind, metadata } = (document ?? {}) as Partial<KubernetesObject>;
  return kind !== undefined && metadata?.name !== undefined;
}

function describe(object: KubernetesObject): string {
  return `${object.metadata?.namespace} ${resourceOf(object)}`;
}

/** As kubectl names it: `deployment.apps/api`. The group keeps kinds apart that others have, too, such as Gateway. */
function resourceOf({ apiVersion, kind, metadata }: KubernetesObject): string {
  const [, group] = apiVersion.split('/').toReversed();
  const ofGroup = group === undefined ? '' : `.${group}`;
  return `${kind.toLowerCase()}${ofGroup}/${metadata?.name}`;
}
