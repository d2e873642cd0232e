// Validates every generated object against the schema of its kind, for all variants of the values.

import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { isDnsLabel } from '../../k8s/names.js';
import { generate, type Loaded, variants } from './cluster.js';

type Validated = new (object: Loaded) => { validate(): void };
/** The packages with the schemas, by the group of an object. */
const packages: Record<string, string> = {
  'gateway.networking.k8s.io': '@kubernetes-models/gateway-api/',
  'keda.sh': '@kubernetes-models/keda/',
};

/** From the definition of the CSI driver; no package has it. */
const secretProviderClassSchema = z.strictObject({
  apiVersion: z.literal('secrets-store.csi.x-k8s.io/v1'),
  kind: z.literal('SecretProviderClass'),
  metadata: z.looseObject({ name: z.string() }),
  spec: z.strictObject({
    provider: z.string(),
    parameters: z.record(z.string(), z.string()),
    secretObjects: z.array(
      z.strictObject({
        secretName: z.string(),
        type: z.string(),
        data: z.array(z.strictObject({ objectName: z.string(), key: z.string() })),
      }),
    ),
  }),
});

/** Throws if the object does not match the schema of its kind. */
async function validate(object: Loaded): Promise<void> {
  const { apiVersion, kind } = object;
  if (kind === 'SecretProviderClass') {
    secretProviderClassSchema.parse(object);
    return;
  }
  const [group] = apiVersion.split('/');
  const file = `${packages[group] ?? 'kubernetes-models/'}${apiVersion}/${kind}`;
  const { [kind]: Model } = (await import(file)) as Record<string, Validated>;
  if (!Model) throw new Error(`No schema for ${apiVersion} ${kind}.`);
  new Model(object).validate();
}

describe('the schemas', () => {
  const { objects } = generate();
  const broken: Record<string, (object: Loaded) => void> = {
    Deployment: (object) => {
      object.spec.template.spec.containers[0].ports[0].containerPort = 'http';
    },
    ScaledObject: (object) => {
      object.spec.maxReplicaCount = '10';
    },
    HTTPRoute: (object) => {
      object.spec.hostnames = 'example.com';
    },
    NetworkPolicy: (object) => {
      object.spec.podSelector = undefined;
    },
  };

  test.each(Object.entries(broken))('find a fault in a %s', async (kind, damage) => {
    const object = structuredClone(objects.find((each) => each.kind === kind));
    await validate(object);
    damage(object);
    await expect(validate(object)).rejects.toThrow();
  });
});

describe.each(Object.entries(variants))('with %s', (_, changes) => {
  test('every object is valid', async () => {
    for (const object of generate(changes).objects) {
      const name = `${object.kind} ${object.metadata.name}`;
      await expect(validate(object), name).resolves.toBeUndefined();
    }
  });

  test('every name and label is one that Kubernetes accepts', () => {
    const { objects, templates } = generate(changes);
    for (const { metadata } of objects) expect(metadata.name).toSatisfy(isDnsLabel);
    const labels = [
      ...objects.map(({ metadata }) => metadata.labels ?? {}),
      ...templates.map((each) => each.labels),
    ];
    for (const value of labels.flatMap(Object.values)) {
      expect(value).toMatch(/^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/);
    }
  });

  test('no two objects of a kind have the same name', () => {
    const names = generate(changes).objects.map(
      ({ kind, metadata }) => `${kind} ${metadata.namespace}/${metadata.name}`,
    );
    expect(new Set(names).size).toBe(names.length);
  });
});
