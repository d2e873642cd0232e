// The values: what a person decides about a cluster. k8s/values.yaml is the file of this repository, and
// docs/kubernetes.md explains each key. Nobody needs to know Kubernetes to change one.

import { z } from 'zod';
import { protocols } from '../shared/configuration/telemetry.js';
import { scalingFields } from '../shared/manifest/scaling.js';
import { findUrlFault, isSocketUrl } from '../shared/redis/url.js';
import { aksSchema } from './aks/values.js';
import {
  isDnsLabel,
  isDnsSubdomain,
  isLabelKey,
  isLabelValue,
  isReservedNamespace,
  namespaceLengthMax,
} from './names.js';

const positive = z.number().int().positive();
const dnsLabel = z
  .string()
  .refine(isDnsLabel, 'expected lower-case letters, digits and -, 63 characters at most');
const objectName = z
  .string()
  .refine(isDnsSubdomain, 'expected lower-case letters, digits, - and ., 253 characters at most');
const hostName = z.hostname('expected a host name').regex(/\./, 'expected a full host name');
const uuid = z.guid('expected a UUID');
const memory = z.string().regex(/^[1-9]\d*(Mi|Gi)$/, 'expected a size such as 512Mi or 2Gi');
const cpu = z
  .number('expected a number of processors, such as 0.5')
  .min(0.01, 'expected at least 0.01 processors')
  .max(256);
const image = z
  .string()
  .regex(
    /^[^\s@:]+(:\d+\/[^\s@:]+)?(:[\w][\w.-]{0,127}(@sha256:[0-9a-f]{64})?|@sha256:[0-9a-f]{64})$/,
    'expected an image with a tag or digest, such as registry.example.com/api:1.2.3',
  )
  .refine((name) => !name.endsWith(':latest'), 'expected a tag that does not move')
  .refine(isLowerCase, 'expected lower-case letters before the tag');
const labelKey = z
  .string()
  .refine(
    isLabelKey,
    'expected a key such as team or example.com/team, 63 characters behind the /',
  );
const labelValue = z
  .string()
  .refine(isLabelValue, 'expected letters, digits, -, _ and ., 63 characters at most');
const labels = z.record(labelKey, labelValue);
const annotations = z.record(labelKey, z.string());
/** Tolerations are for every effect, so an effect is not said. */
const taint = z.string().superRefine((text, context) => {
  const [key = '', value = '', ...more] = text.split('=');
  if (isLabelKey(key) && isLabelValue(value) && more.length === 0) return;
  context.addIssue(
    'expected key or key=value, without an effect behind a colon, since every effect is tolerated',
  );
});
const setting = z
  .union(
    [z.string(), z.number(), z.boolean()],
    'expected a text, a number, true or false; lists have commas between their parts',
  )
  .transform(String);
const settings = z
  .record(
    z
      .string()
      .regex(
        /^[A-Z][A-Z0-9_]*$/,
        'expected a key of docs/configuration.md; other variables belong into environment',
      ),
    setting,
  )
  .prefault({});

type Settings = z.output<typeof settings>;

const variables = z
  .record(
    z
      .string()
      .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'expected the name of a variable, such as NO_PROXY'),
    setting,
  )
  .prefault({});

const imagesSchema = z.strictObject({
  api: image,
  worker: image,
  workerGpu: image.optional().describe('Needed if a model runs on a GPU.'),
  workerPython: image.optional().describe('Needed if a model is a Python program.'),
  redis: image.default('redis:7-bookworm'),
  pullSecret: objectName
    .optional()
    .describe('The Secret with the password of a private registry. AKS needs none for its own.'),
});

const nodesSchema = z.strictObject({
  machine: labelValue.min(1).optional().describe('The machine type, such as Standard_NC4as_T4_v3.'),
  labels: labels.default({}).describe('Further labels that the machines must have.'),
  taints: z.array(taint).default([]).describe('What keeps other pods away from these machines.'),
  spot: z
    .enum(['never', 'prefer', 'only'])
    .default('never')
    .describe('Whether workers run on machines that the cloud may take away at any time.'),
});

const modelSchema = z.strictObject({
  name: z.string().min(1).describe('The folder in models/.'),
  download: z
    .boolean()
    .default(false)
    .describe(
      'Whether workers may get the ONNX file from the addresses in the manifest if it is missing.',
    ),
  cpu: cpu.default(1),
  memory: memory.optional().describe('If unset, it follows from the size of the ONNX file.'),
  scaling: z
    .strictObject({
      min: scalingFields.min.optional(),
      max: scalingFields.max.optional(),
      itemsPerWorker: scalingFields.itemsPerWorker.optional(),
      coolDownSeconds: scalingFields.coolDownSeconds.optional(),
      schedule: scalingFields.schedule.optional(),
    })
    .prefault({})
    .describe('Overrides `scaling` of the manifest, key by key.'),
});

const certificateSchema = z.union(
  [
    z.strictObject({ secret: objectName }),
    z.strictObject({ keyVaultUri: z.url({ protocol: /^https$/ }) }),
  ],
  'expected either secret: the name of a TLS Secret, or keyVaultUri: the address of a certificate',
);

const entranceSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('gateway'),
    class: objectName.default('approuting-istio'),
    certificate: certificateSchema,
    proxyNamespace: dnsLabel
      .optional()
      .describe('Where the pods of the gateway run, if not in the namespace of the Gateway.'),
  }),
  z.strictObject({
    kind: z.literal('ingress'),
    class: objectName,
    controllerNamespace: dnsLabel.describe('Where the pods of the ingress controller run.'),
    certificate: z.strictObject({ secret: objectName }),
    annotations: annotations.default({}),
  }),
  z.strictObject({ kind: z.literal('none') }),
]);

const prefix = z
  .string()
  .regex(/^[^\s]+$/, 'expected a text without blanks')
  .optional()
  .describe('What all keys begin with, if several services share a Redis.');

const redisSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('in-cluster'),
    cpu: cpu.default(0.5),
    memory: memory.default('2Gi'),
    disk: z
      .union([memory, z.literal('none')], 'expected a size such as 8Gi, or none')
      .optional()
      .describe('`none` loses what waits whenever the pod of Redis moves.'),
    storageClass: objectName.optional(),
  }),
  z.strictObject({
    kind: z.literal('azure'),
    host: hostName.describe('Such as NAME.REGION.redis.azure.net.'),
    clusteringPolicy: z
      .enum(['NoCluster', 'EnterpriseCluster', 'OSSCluster'])
      .default('NoCluster')
      .describe('As it was made. All keys lie in one shard anyway, so more of them bring nothing.'),
    prefix,
  }),
  z.strictObject({
    kind: z.literal('external'),
    url: z
      .string()
      .superRefine((text, context) => {
        const fault = /[@?]/.test(text)
          ? 'it has a user, a password or an option. The user belongs into redis.user, and the password into the Secret redis'
          : isSocketUrl(text)
            ? 'pods share no sockets'
            : findUrlFault(text);
        if (fault) context.addIssue(`expected a URL as for REDIS_URL; ${fault}`);
      })
      .describe('As REDIS_URL, for a single Redis, Sentinels or a cluster.'),
    ports: z
      .array(positive.max(65_535))
      .default([6379])
      .describe('Further ports: of the servers that Sentinels or a cluster name.'),
    user: z
      .string()
      .regex(/^\S+$/, 'expected a text without blanks')
      .optional()
      .describe('The user of Redis, if it is not `default`.'),
    caSecret: objectName
      .optional()
      .describe('A Secret with the certificate of the authority of Redis under ca.crt.'),
    certificateSecret: objectName
      .optional()
      .describe(
        'A TLS Secret with the certificate and key by which Redis knows its clients, if it asks for one.',
      ),
    prefix,
  }),
]);

export const valuesSchema = z.strictObject({
  namespace: dnsLabel
    .max(namespaceLengthMax, `expected at most ${namespaceLengthMax} characters`)
    .refine(
      (name) => !isReservedNamespace(name),
      'expected a namespace for Scoreline alone, because everything else in it would be cut off',
    )
    .default('scoreline'),
  host: hostName
    .refine(
      (name) => isDnsSubdomain(name) && !/\.\d+$/.test(name),
      'expected a host name in lower case, without a dot at its end, and no address',
    )
    .describe('The name by which clients reach the service.'),
  images: imagesSchema,
  models: z.array(modelSchema).min(1),
  modelFolder: z
    .discriminatedUnion('from', [
      z.strictObject({ from: z.literal('image') }),
      z.strictObject({ from: z.literal('volume'), claim: objectName }),
    ])
    .prefault({ from: 'image' })
    .describe('Where manifests, labels and ONNX files come from.'),
  downloadCache: z
    .strictObject({ claim: objectName })
    .optional()
    .describe('A volume that workers share for downloads. If unset, each downloads for itself.'),
  api: z
    .strictObject({
      replicas: z
        .strictObject({ min: positive, max: positive })
        .refine(({ min, max }) => min <= max, { message: 'expected min <= max' })
        .prefault({ min: 2, max: 10 }),
      cpu: cpu.default(1),
      memory: memory.default('2Gi'),
      settings: settings.transform((given): Settings => ({ AUTH: 'keys', ...given })),
      keysSecret: objectName
        .optional()
        .describe(
          'A Secret with the records of the API keys under keys.yaml. If unset, they are in Redis.',
        ),
      webhookSecret: objectName
        .optional()
        .describe('A Secret with the secrets of webhooks under secrets, as in WEBHOOK_SECRETS.'),
    })
    .prefault({}),
  workers: z.strictObject({ settings }).prefault({}),
  environment: variables.describe('Variables of API and workers that are no settings.'),
  environmentSecret: objectName
    .optional()
    .describe('A Secret whose keys are further variables of API and workers.'),
  authoritiesConfigMap: objectName
    .optional()
    .describe('A ConfigMap with the certificates of private authorities under ca.crt.'),
  podUser: z
    .enum(['own', 'cluster'])
    .default('own')
    .describe(
      'Who chooses the user that the processes of a pod run as: we, or a cluster that has numbers of its own for each namespace, as OpenShift does.',
    ),
  nodes: z
    .strictObject({ cpu: nodesSchema.prefault({}), gpu: nodesSchema.optional() })
    .prefault({}),
  entrance: entranceSchema,
  redis: redisSchema.prefault({ kind: 'in-cluster' }),
  keda: z
    .strictObject({
      namespaces: z
        .array(dnsLabel)
        .min(1)
        .default(['kube-system', 'keda'])
        .describe('Where KEDA may run: as an add-on of AKS, or from its own manifests or chart.'),
      pollSeconds: positive
        .max(300)
        .default(1)
        .describe('How often KEDA looks for requests. It is what a model at zero waits at most.'),
      checkCertificates: z
        .boolean()
        .default(true)
        .describe(
          'Whether KEDA checks the certificates of Redis. Otherwise it gives the password to whoever answers.',
        ),
    })
    .prefault({}),
  monitoring: z
    .strictObject({
      namespaces: z
        .array(dnsLabel)
        .default(['monitoring'])
        .describe('Where Prometheus may run. With none, nobody reaches the metrics.'),
    })
    .prefault({}),
  telemetry: z
    .strictObject({
      connectionStringSecret: objectName
        .optional()
        .describe(
          'A Secret with the connection string of Application Insights under connection-string.',
        ),
      otlp: z
        .strictObject({
          endpoint: z
            .url({ protocol: /^https?$/, error: 'expected a URL with http or https' })
            .refine((text) => !text.includes('@'), 'expected no user or password in it'),
          protocol: z.enum(protocols).default('http/protobuf'),
          headersSecret: objectName
            .optional()
            .describe('A Secret with OTEL_EXPORTER_OTLP_HEADERS under headers.'),
        })
        .optional(),
      share: z.number().min(0).max(1).optional().describe('The share of requests that are traced.'),
    })
    .prefault({}),
  access: z
    .strictObject({
      operators: z.array(z.string().min(1)).default([]),
      viewers: z.array(z.string().min(1)).default([]),
    })
    .prefault({})
    .describe('Groups; in Entra ID, their object ids.'),
  aks: aksSchema.optional().describe('The cluster, if it is to be made on Azure.'),
  azure: z
    .strictObject({
      tenantId: uuid,
      clientId: uuid.describe('Of the managed identity that may read the Key Vault.'),
      keyVault: z.string().regex(/^[A-Za-z][A-Za-z0-9-]{1,22}[A-Za-z0-9]$/, 'expected its name'),
    })
    .optional(),
});

/** Registries take no others in the name of an image. */
function isLowerCase(image: string): boolean {
  const [name = ''] = image.split('@');
  return !/[A-Z]/.test(name.replace(/:[^/]*$/, ''));
}

export type Values = z.output<typeof valuesSchema>;
export type ModelValues = Values['models'][number];
export type Nodes = z.output<typeof nodesSchema>;
