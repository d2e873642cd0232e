// Tests that generated objects find each other: names, selectors, ports. Kubernetes accepts a name that
// leads nowhere, and then nothing happens.

import { load } from 'js-yaml';
import { describe, expect, test } from 'vitest';
import { listNeeded } from '../../k8s/needed.js';
import { parseRedisUrl } from '../../shared/redis/url.js';
import { type Cluster, generate, type Loaded, variants } from './cluster.js';

type Labels = Record<string, string>;

const matches = (selector: Labels, labels: Labels) =>
  Object.entries(selector).every(([key, value]) => labels[key] === value);

const selected = (cluster: Cluster, selector: Labels) =>
  cluster.templates.filter(({ labels }) => matches(selector, labels));

/** Fields that name a Secret, a ConfigMap or a volume, with the kind and the field of the name in them. */
const references: Record<string, [kind: string, field: string]> = {
  secretKeyRef: ['Secret', 'name'],
  secretRef: ['Secret', 'name'],
  secret: ['Secret', 'secretName'],
  imagePullSecrets: ['Secret', 'name'],
  certificateRefs: ['Secret', 'name'],
  tls: ['Secret', 'secretName'],
  secretTargetRef: ['Secret', 'name'],
  configMapTargetRef: ['ConfigMap', 'name'],
  configMap: ['ConfigMap', 'name'],
  persistentVolumeClaim: ['PersistentVolumeClaim', 'claimName'],
};

/** What an object refers to, as `KIND NAMESPACE NAME`. */
function referencesIn(value: Loaded, namespace: string): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries<Loaded>(value).flatMap(([key, within]) => {
    const [kind, field] = references[key] ?? [];
    const named = [within].flat().filter((each) => field && each?.[field] && !each.optional);
    return [
      ...named.map((each) => `${kind} ${namespace} ${each[field as string]}`),
      ...referencesIn(within, namespace),
    ];
  });
}

const container = ({ spec }: { spec: Loaded }) => spec.containers[0];

/** The number of a port that is given by number or by name. */
function portOf(template: { spec: Loaded }, port: number | string): number | undefined {
  const { ports } = container(template);
  return ports.find((each: Loaded) => each.name === port || each.containerPort === port)
    ?.containerPort;
}

describe.each(Object.entries(variants))('with %s', (_, changes) => {
  const cluster = generate(changes);
  const { of, get, templates, files } = cluster;
  const namespace = 'scoreline';

  test('each Deployment and StatefulSet selects its own pods and no others', () => {
    for (const { metadata, spec } of [...of('Deployment'), ...of('StatefulSet')]) {
      const names = selected(cluster, spec.selector.matchLabels).map(({ name }) => name);
      expect(names).toEqual([metadata.name]);
    }
  });

  test('each disruption budget selects the pods of one Deployment or StatefulSet', () => {
    for (const { metadata, spec } of of('PodDisruptionBudget')) {
      const names = selected(cluster, spec.selector.matchLabels).map(({ name }) => name);
      expect(names).toEqual([metadata.name]);
    }
    expect(of('PodDisruptionBudget')).toHaveLength(templates.length);
  });

  test('pods are spread among pods of their own kind', () => {
    for (const { name, spec } of templates) {
      for (const { labelSelector } of spec.topologySpreadConstraints ?? []) {
        const names = selected(cluster, labelSelector.matchLabels).map((each) => each.name);
        expect(names).toEqual([name]);
      }
    }
  });

  test('each Service reaches a port of its pods', () => {
    for (const { spec } of of('Service')) {
      const pods = selected(cluster, spec.selector);
      expect(pods).toHaveLength(1);
      for (const pod of pods) {
        for (const { targetPort } of spec.ports) expect(portOf(pod, targetPort)).toBeDefined();
      }
    }
  });

  test('each probe asks a port of its container', () => {
    for (const template of templates) {
      for (const kind of ['startupProbe', 'readinessProbe', 'livenessProbe']) {
        const probe = container(template)[kind];
        expect(probe, `${template.name} ${kind}`).toBeDefined();
        if (probe.httpGet) expect(portOf(template, probe.httpGet.port)).toBeDefined();
      }
    }
  });

  test('clients that take all connections of a port cannot have its pods restarted', () => {
    const open = of('Service').flatMap(({ spec }) =>
      spec.ports.map(({ targetPort }: Loaded) => targetPort),
    );
    for (const template of templates) {
      const { httpGet } = container(template).livenessProbe;
      if (httpGet) expect(open).not.toContain(httpGet.port);
    }
  });

  test('each network policy selects pods, and opens ports that they have', () => {
    for (const { spec } of of('NetworkPolicy')) {
      const pods = selected(cluster, spec.podSelector.matchLabels ?? {});
      expect(pods).not.toEqual([]);
      for (const { ports, from } of spec.ingress ?? []) {
        for (const pod of pods) {
          for (const { port } of ports) expect(portOf(pod, port)).toBe(port);
        }
        for (const peer of from.filter((each: Loaded) => !each.namespaceSelector)) {
          expect(selected(cluster, peer.podSelector.matchLabels)).not.toEqual([]);
        }
      }
    }
  });

  test('pods may connect to whatever their environment names', () => {
    const redis = of('NetworkPolicy').find(({ metadata }) => metadata.name === 'redis');
    for (const template of templates.filter(({ name }) => name !== 'redis')) {
      const { nodes } = parseRedisUrl(
        container(template).env.find(({ name }: Loaded) => name === 'REDIS_URL').value,
      );
      const rules = of('NetworkPolicy')
        .filter(({ spec }) => matches(spec.podSelector.matchLabels ?? {}, template.labels))
        .flatMap(({ spec }) => spec.egress ?? []);
      const isOpen = ({ ports }: Loaded) =>
        nodes.every((node) => ports.some(({ port }: Loaded) => port === node.port));
      expect(rules.some(isOpen)).toBe(true);
      if (!redis) continue;
      const callers: Labels[] = redis.spec.ingress[0].from.map(
        (peer: Loaded) => peer.podSelector.matchLabels,
      );
      expect(callers.some((caller) => matches(caller, template.labels))).toBe(true);
    }
  });

  test('each pod has its account, and the volumes that it mounts', () => {
    for (const { name, spec } of templates) {
      const account = get('ServiceAccount', spec.serviceAccountName);
      expect(account.automountServiceAccountToken).toBe(false);
      const statefulSet = of('StatefulSet').find(({ metadata }) => metadata.name === name);
      const claims = statefulSet?.spec.volumeClaimTemplates ?? [];
      const volumes = [
        ...spec.volumes.map((volume: Loaded) => volume.name),
        ...claims.map(({ metadata }: Loaded) => metadata.name),
      ];
      const mounted = spec.containers[0].volumeMounts.map((mount: Loaded) => mount.name);
      expect(mounted.toSorted()).toEqual(volumes.toSorted());
    }
  });

  test('each autoscaler scales a Deployment that leaves the number to it', () => {
    const targets = [...of('ScaledObject'), ...of('HorizontalPodAutoscaler')].map(
      ({ spec }) => spec.scaleTargetRef.name,
    );
    expect(targets.toSorted()).toEqual(
      of('Deployment')
        .map(({ metadata }) => metadata.name)
        .toSorted(),
    );
    for (const target of targets) expect(get('Deployment', target).spec.replicas).toBeUndefined();
  });

  test('each trigger of a queue has its authentication', () => {
    for (const { spec } of of('ScaledObject')) {
      for (const { type, authenticationRef } of spec.triggers) {
        if (type !== 'cron') get('TriggerAuthentication', authenticationRef.name);
      }
    }
  });

  test('each route leads from a listener to a port of a Service', () => {
    for (const { spec } of of('HTTPRoute')) {
      for (const { name, namespace: home, sectionName } of spec.parentRefs) {
        const found = get('Gateway', name);
        expect(found.metadata.namespace).toBe(home);
        const listener = found.spec.listeners.find((each: Loaded) => each.name === sectionName);
        const { selector } = listener.allowedRoutes.namespaces;
        expect(selector.matchLabels).toEqual({ 'kubernetes.io/metadata.name': namespace });
        expect(spec.hostnames).toEqual([listener.hostname]);
      }
      for (const { name, port } of spec.rules.flatMap((rule: Loaded) => rule.backendRefs ?? [])) {
        const ports = get('Service', name).spec.ports.map((each: Loaded) => each.port);
        expect(ports).toContain(port);
      }
    }
    for (const { spec } of of('Ingress')) {
      for (const { backend } of spec.rules.flatMap(({ http }: Loaded) => http.paths)) {
        const { ports } = get('Service', backend.service.name).spec;
        expect(ports.map((each: Loaded) => each.name)).toContain(backend.service.port.name);
      }
    }
  });

  test('each namespace that is used is there', () => {
    const names = ['kube-system', ...of('Namespace').map(({ metadata }) => metadata.name)];
    for (const { kind, metadata } of cluster.objects) {
      if (kind !== 'Namespace') expect(names).toContain(metadata.namespace);
    }
  });

  test('each binding gives a role that is there', () => {
    for (const { roleRef } of of('RoleBinding')) get('Role', roleRef.name);
  });

  test('each Secret, ConfigMap and volume is generated, made by the Key Vault, or needed of the operator', () => {
    const made = [
      ...of('ConfigMap').map(({ metadata }) => `ConfigMap ${metadata.namespace} ${metadata.name}`),
      ...of('SecretProviderClass').flatMap(({ metadata, spec }) =>
        spec.secretObjects.map((each: Loaded) => `Secret ${metadata.namespace} ${each.secretName}`),
      ),
    ];
    const used = cluster.objects.flatMap((each) => referencesIn(each, each.metadata.namespace));
    const needed = listNeeded(cluster.plan.values);
    const listed = needed.map(({ kind, namespace: place, name }) => `${kind} ${place} ${name}`);
    expect(listed.toSorted()).toEqual(
      [...new Set(used)].filter((each) => !made.includes(each)).toSorted(),
    );
    const keys = JSON.stringify(cluster.objects).matchAll(
      /"secretKeyRef":\{"name":"([^"]+)","key":"([^"]+)"\}/g,
    );
    for (const [, name, key] of keys) {
      const { command } = needed.find((each) => each.name === name) ?? {};
      if (!made.includes(`Secret ${namespace} ${name}`)) expect(command).toContain(`=${key}=`);
    }
  });

  test('KEDA and the Key Vault have the password of Redis where the pods have it', () => {
    for (const { spec } of of('TriggerAuthentication')) {
      const [password, ...others] = spec.secretTargetRef;
      expect(password).toEqual({ parameter: 'password', name: 'redis', key: 'password' });
      for (const { parameter } of others) {
        expect(['ca', 'cert', 'key', 'sentinelPassword']).toContain(parameter);
      }
    }
    for (const { metadata, spec } of of('SecretProviderClass')) {
      expect(spec.secretObjects[0]).toMatchObject({
        secretName: 'redis',
        data: [{ key: 'password' }],
      });
      const used = templates.flatMap((each) => each.spec.volumes).filter(({ csi }) => csi);
      expect(used).toHaveLength(templates.length);
      for (const { csi } of used) {
        expect(csi.volumeAttributes.secretProviderClass).toBe(metadata.name);
      }
    }
  });

  test('the kustomization names all files', () => {
    const { resources } = load(files['kustomization.yaml'] as string) as Loaded;
    const others = Object.keys(files).filter((name) => name !== 'kustomization.yaml');
    expect(resources.toSorted()).toEqual(others.toSorted());
  });
});
