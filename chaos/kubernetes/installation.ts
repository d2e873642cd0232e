// Puts the service into a namespace of its own, as docs/kubernetes.md tells a person to, and removes it again.

import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { IPod } from 'kubernetes-models/v1/Pod';
import { apiName } from '../../k8s/api.js';
import { makeManifests, writeManifests } from '../../k8s/manifests.js';
import type { Plan } from '../../k8s/plan.js';
import { redisSecret, redisServiceName } from '../../k8s/redis-place.js';
import { type Kubectl, runAtExit } from './kubectl.js';
import { relayNamespace } from './route.js';

const startsWithin = '300s';

/**
 * Applies the manifests of a plan and waits until the API is ready. They are tried on the server first: that
 * asks the schemas and the webhooks of the cluster, KEDA's included.
 * @param options.folder where the manifests are written to
 */
export async function install(options: {
  kubectl: Kubectl;
  plan: Plan;
  folder: string;
  say: (line: string) => void;
}): Promise<void> {
  const { kubectl, plan, folder, say } = options;
  const files = writeManifests(makeManifests(plan));
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(folder, name), text);

  await kubectl.run('create', '--filename', path.join(folder, 'namespace.yaml'));
  const { printed, warned } = await kubectl.feed(
    '',
    ...['apply', '--server-side', '--dry-run=server', '--kustomize', folder],
  );
  if (warned) throw new Error(`The cluster takes the manifests with warnings:\n${warned}`);
  say(`The cluster takes all ${printed.trim().split('\n').length} objects.`);

  const password = randomBytes(24).toString('hex');
  await kubectl.run(
    ...['create', 'secret', 'generic', redisSecret.name],
    `--from-literal=${redisSecret.key}=${password}`,
  );
  await kubectl.run('apply', '--kustomize', folder);
  try {
    for (const object of [`statefulset/${redisServiceName}`, `deployment/${apiName}`]) {
      await kubectl.run('rollout', 'status', object, `--timeout=${startsWithin}`);
    }
  } catch (error) {
    const pods = await describePods(kubectl);
    throw new Error(`${(error as Error).message}\n${pods.join('\n')}`);
  }
}

/** Makes an API key for the clients of the run. */
export async function makeKey(kubectl: Kubectl): Promise<string> {
  const command = ['node', '/app/dist/cli/keys.js', 'create', 'e2e'];
  return (await kubectl.run('exec', `deployment/${apiName}`, '--', ...command)).trim();
}

/** @throws Error if the namespace exists: it may be somebody's */
export async function checkUnused(kubectl: Kubectl): Promise<void> {
  for (const name of [kubectl.namespace, relayNamespace(kubectl.namespace)]) {
    const found = await kubectl.run(
      'get',
      'namespace',
      name,
      '--ignore-not-found',
      '--output=name',
    );
    if (found === '') continue;
    throw new Error(
      `--namespace: expected the name of a namespace that does not exist yet; ${name} does. If it is left from an earlier run: kubectl delete namespace ${name}`,
    );
  }
}

/** Removes the namespaces of a run and waits until they are gone. */
export async function remove(kubectl: Kubectl): Promise<void> {
  await kubectl.run(...removal(kubectl.namespace), '--timeout=300s');
}

/** Begins to remove the namespaces of a run while this process exits. */
export function removeAtExit(namespace: string): void {
  runAtExit(...removal(namespace), '--wait=false');
}

function removal(namespace: string): string[] {
  return ['delete', 'namespace', namespace, relayNamespace(namespace), '--ignore-not-found'];
}

/** Says why pods are not ready: a line for each of them. */
async function describePods(kubectl: Kubectl): Promise<string[]> {
  const { items } = await kubectl.read<{ items: IPod[] }>('get', 'pods');
  return items.flatMap(({ metadata, status }) => {
    const ready = status?.conditions?.find(({ type }) => type === 'Ready');
    if (ready?.status === 'True') return [];
    const [container] = status?.containerStatuses ?? [];
    const reasons = [
      status?.conditions?.find(({ type }) => type === 'PodScheduled')?.message,
      container?.state?.waiting?.reason,
      container?.state?.waiting?.message,
      container?.lastState?.terminated?.reason,
      container?.lastState?.terminated?.message,
    ];
    return [`${metadata?.name}: ${reasons.filter(Boolean).join(': ') || 'not ready'}`];
  });
}
