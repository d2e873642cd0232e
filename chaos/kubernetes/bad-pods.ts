// Pods that cannot work: each is one of the service with one thing wrong. None may become ready or restart in a
// tight loop, and each must say what to do.

import { setTimeout as delay } from 'node:timers/promises';
import type { IContainer } from 'kubernetes-models/v1/Container';
import type { IPodSpec } from 'kubernetes-models/v1/PodSpec';
import type { IPodTemplateSpec } from 'kubernetes-models/v1/PodTemplateSpec';
import { makeApiDeployment } from '../../k8s/api.js';
import { selectorOf } from '../../k8s/names.js';
import type { Plan } from '../../k8s/plan.js';
import { makeWorkerDeployment } from '../../k8s/worker.js';
import type { Kubectl } from './kubectl.js';
import { followPods, type SeenPod } from './pods.js';

interface BadPod {
  readonly name: string;
  readonly component: 'api' | 'worker';
  /** Makes it bad. The pod has one container. */
  spoil(container: IContainer, spec: IPodSpec): void;
  /** The words that a person must find, and where. */
  readonly told: readonly Told[];
}

type Place = 'describe' | 'log' | 'readiness';
type Told = readonly [place: Place, words: RegExp];

export interface BadPodReport {
  readonly name: string;
  readonly restarts: number;
  /** The words that were found, each with its place. */
  readonly told: readonly string[];
  /** Everything that differs from how the pod should fail. */
  readonly faults: readonly string[];
}

const watchedMs = 60_000;
/** Kubernetes waits 0, 10, 20 and 40 s before it starts a container again. */
const restartsMax = 4;
const model = 'faq-matcher';
const probe = 'node /app/dist/cli/probe.js';

const components = ['api', 'worker'] as const;

const badPods: readonly BadPod[] = [
  ...components.flatMap((component): BadPod[] => [
    {
      name: `${component}-unknown-host`,
      component,
      spoil: (container) => set(container, 'REDIS_URL', 'redis://nowhere:6379'),
      told: [['describe', /expected the name of a host; got nowhere[^"]*/]],
    },
    {
      name: `${component}-url-of-another-kind`,
      component,
      spoil: (container) => set(container, 'REDIS_URL', 'http://redis:6379'),
      told: [['describe', /REDIS_URL: expected redis:\/\/.*/]],
    },
    {
      name: `${component}-wrong-password`,
      component,
      spoil: (container) => set(container, 'REDIS_PASSWORD', 'wrong'),
      told: [['describe', /expected a user and password that Redis accepts[^"]*/]],
    },
    {
      name: `${component}-closed-port`,
      component,
      spoil: (container) => set(container, 'REDIS_URL', 'redis://redis:6380'),
      told: [
        ['log', /Redis cannot be used; trying again until it can[^"]*/],
        // An API does not listen before it has reached Redis.
        ['readiness', component === 'api' ? /ECONNREFUSED/ : /Redis cannot be reached[^"]*/],
      ],
    },
    {
      name: `${component}-too-little-memory`,
      component,
      spoil: (container) => limitMemory(container, component === 'api' ? '24Mi' : '48Mi'),
      told: [
        ['describe', /expected at least \d+ MB for the \w+; got \d+ MB. It cannot start.*/],
        ['describe', /Exit Code: +1\b/],
      ],
    },
  ]),
  {
    name: 'worker-no-model-file',
    component: 'worker',
    spoil: (container, spec) => changeModels(container, spec, `rm ${model}/*.onnx`),
    told: [['describe', /expected the file \S+; there is none[^"]*/]],
  },
  {
    name: 'worker-wrong-checksum',
    component: 'worker',
    spoil: (container, spec) => changeModels(container, spec, `echo x >> ${model}/model.onnx`),
    told: [['describe', /expected \d+ bytes with SHA-256 [^"]*/]],
  },
  {
    name: 'worker-other-models',
    component: 'worker',
    spoil: (container, spec) =>
      changeModels(container, spec, `sed -i 's/^version: 1/version: 2/' ${model}/model.yaml`),
    told: [['describe', /MODELS: expected the model whose queue is [^"]*/]],
  },
  {
    name: 'worker-no-such-gpu',
    component: 'worker',
    // More than any machine has, so this pod is bad on a cluster with GPUs, too.
    spoil({ resources = {} }) {
      resources.limits = { ...resources.limits, 'nvidia.com/gpu': 64 };
      resources.requests = { ...resources.requests, 'nvidia.com/gpu': 64 };
    },
    told: [['describe', /Insufficient nvidia\.com\/gpu/]],
  },
  {
    name: 'worker-no-cuda',
    component: 'worker',
    spoil(container, spec) {
      set(container, 'MODELS', model);
      changeModels(container, spec, `sed -i 's/type: cpu/type: cuda/' ${model}/model.yaml`);
    },
    told: [['describe', /device: expected one that ONNX Runtime can use[^"]*/]],
  },
];

/** Runs all of them at the same time, and looks at them after a minute. */
export async function tryBadPods(kubectl: Kubectl, plan: Plan): Promise<BadPodReport[]> {
  const pods = followPods(kubectl, () => performance.now());
  // The quota has no room for so many pods, and none for one that asks for a GPU.
  await kubectl.run('delete', 'resourcequota', '--all');
  for (const bad of badPods) {
    await kubectl.feed(JSON.stringify(makePod(plan, bad)), 'create', '--filename=-');
  }
  await delay(watchedMs);
  const seen = new Map(pods.all.map((pod) => [pod.name, pod]));
  pods.close();
  return Promise.all(badPods.map((bad) => look(kubectl, bad, seen.get(bad.name))));
}

async function look(
  kubectl: Kubectl,
  { name, component, told }: BadPod,
  seen: SeenPod | undefined,
): Promise<BadPodReport> {
  const read = (...parameters: string[]) =>
    kubectl.run(...parameters).catch((error: Error) => error.message);
  const texts: Record<Place, string> = {
    describe: await read('describe', 'pod', name),
    log: await read('logs', name),
    readiness: await read('exec', name, '--', 'sh', '-c', `${probe} ${component}; true`),
  };
  const restarts = seen?.restarts ?? 0;
  const said = told.map(([place, words]) => ({
    place,
    words,
    text: words.exec(texts[place])?.[0],
  }));
  return {
    name,
    restarts,
    told: said.map(({ place, text }) => `${place}: ${text ?? 'nothing'}`),
    faults: [
      ...said.flatMap(({ place, words, text }) => (text ? [] : [`${place} does not say ${words}`])),
      ...(seen?.readyAt === undefined ? [] : ['it became ready']),
      ...(restarts > restartsMax ? [`it restarted ${restarts} times in a minute`] : []),
    ],
  };
}

function makePod(plan: Plan, bad: BadPod) {
  const template = templateOf(plan, bad.component);
  const spec = structuredClone(template.spec) as IPodSpec;
  bad.spoil(spec.containers[0] as IContainer, spec);
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    // Network policies know it by its component. No Deployment does: that takes more labels.
    metadata: { name: bad.name, labels: selectorOf(bad.component) },
    spec: { ...spec, terminationGracePeriodSeconds: 1 },
  };
}

function templateOf(plan: Plan, component: 'api' | 'worker'): IPodTemplateSpec {
  if (component === 'api') return makeApiDeployment(plan).spec?.template as IPodTemplateSpec;
  const planned = plan.models.find((each) => each.model.name === model);
  if (!planned) throw new Error(`Expected ${model} in the plan. This is a bug.`);
  return makeWorkerDeployment(plan, planned).spec?.template as IPodTemplateSpec;
}

function set(container: IContainer, name: string, value: string): void {
  container.env = [...(container.env ?? []).filter((each) => each.name !== name), { name, value }];
}

function limitMemory({ resources = {} }: IContainer, memory: string): void {
  resources.limits = { ...resources.limits, memory };
  resources.requests = { ...resources.requests, memory };
}

/** Returns a paragraph for each of them. */
export function formatBadPods(reports: readonly BadPodReport[]): string {
  return reports
    .map(({ name, restarts, told, faults }) =>
      [
        `${name}: ${restarts} restarts in a minute`,
        ...told.map((words) => `  ${words}`),
        ...faults.map((fault) => `  WRONG: ${fault}`),
      ].join('\n'),
    )
    .join('\n');
}

/** Gives the container a copy of its models, in which a command has changed something. */
function changeModels(container: IContainer, spec: IPodSpec, command: string): void {
  const volume = { name: 'changed', emptyDir: {} };
  const { image, resources, securityContext } = container;
  spec.volumes = [...(spec.volumes ?? []), volume];
  spec.initContainers = [
    {
      name: 'change',
      image: image as string,
      command: ['sh', '-ec', `cp -r /models/. /changed; cd /changed; ${command}`],
      ...(resources && { resources }),
      ...(securityContext && { securityContext }),
      volumeMounts: [{ name: volume.name, mountPath: '/changed' }],
    },
  ];
  container.volumeMounts = [
    ...(container.volumeMounts ?? []),
    { name: volume.name, mountPath: '/models' },
  ];
}
