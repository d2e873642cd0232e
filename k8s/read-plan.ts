// Reads the plan of a cluster. Whatever the generator refuses is refused here, with file, key, what was
// expected and what was given.

import {
  describeConfiguration,
  findFaults,
  type Role,
} from '../shared/configuration/configuration.js';
import { readYamlFile } from '../shared/files/yaml-file.js';
import { listModels } from '../shared/manifest/file.js';
import { describedBytes, describedFiles } from '../shared/manifest/manifest.js';
import { scalingSchema } from '../shared/manifest/scaling.js';
import { mebibytesToStart } from '../shared/process/start-memory.js';
import { collectModels, type Model } from '../shared/registry/models.js';
import { checkAks } from './aks/check.js';
import { allAddresses, grpcPortOf, ownSettings, sidePort } from './environment.js';
import { checkModel } from './model-faults.js';
import { nameLengthMax, workerName } from './names.js';
import type { Plan, PlannedModel } from './plan.js';
import { parseMemory } from './quantity.js';
import { checkRedis } from './redis-faults.js';
import type { Refuse } from './refuse.js';
import { sendsTelemetry } from './telemetry.js';
import { type ModelValues, type Values, valuesSchema } from './values.js';
import { checkVariables } from './variable-faults.js';

/**
 * Reads the values and the models that they name.
 * @throws ScorelineError `configuration_invalid`, with all faults of the values, or `manifest_invalid`
 */
export function readPlan(options: { file: string; modelsDirectory: string }): Plan {
  const known = knownModels(options.modelsDirectory);
  const schema = valuesSchema.transform((values, context) => {
    const refuse: Refuse = (keys, message) =>
      context.addIssue({ code: 'custom', path: [...keys], message });
    const models = values.models.flatMap((entry, index) =>
      planVersions({ values, entry, index, known, refuse }),
    );
    checkApiMemory(values, refuse);
    checkRedis(values, refuse);
    checkNames(values, models, refuse);
    checkGpu(values, models, refuse);
    checkPython(values, models, refuse);
    checkSettings(values, refuse);
    checkVariables(values, refuse);
    checkTelemetry(values, refuse);
    checkAzure(values, refuse);
    checkAks(values, refuse);
    return { values, models };
  });
  return readYamlFile(options.file, schema, {
    what: 'a file of values',
    code: 'configuration_invalid',
  });
}

/** Ports below are for root, and 0 would be another in each pod. */
const portMin = 1024;

type Known = ReturnType<typeof collectModels>;

function knownModels(directory: string): Known {
  const names = listModels(directory);
  // The machine that writes manifests need not have the networks: images or volumes carry them.
  return collectModels({ directory, names, filesNeeded: false });
}

interface Entry {
  readonly values: Values;
  readonly entry: ModelValues;
  readonly index: number;
  readonly known: Known;
  readonly refuse: Refuse;
}

/** Each version of a model has workers of its own. */
function planVersions(options: Entry): PlannedModel[] {
  const { entry, index, known, refuse } = options;
  const versions = known.models.filter(({ name }) => name === entry.name);
  const leftOut = known.leftOut.filter(({ name }) => name === entry.name);
  const reasons = leftOut.map(({ error }) => error.message).join('; ');
  if (versions.length === 0) {
    const names = [...new Set(known.models.map(({ name }) => name))].join(', ');
    const reason = reasons === '' ? '' : `; ${reasons}`;
    refuse(['models', index, 'name'], `expected the name of a model: ${names}${reason}`);
  } else if (leftOut.length > 0) {
    // Without a version, its requests would go to another one.
    refuse(
      ['models', index, 'name'],
      `expected a model whose versions and traffic.yaml can all be read; ${reasons}`,
    );
  }
  return versions.map((model) => planModel(options, model));
}

function planModel({ values, entry, index, refuse }: Entry, model: Model): PlannedModel {
  const { manifest } = model;
  const { source } = manifest;
  if (entry.download && source.engine === 'python') {
    refuse(
      ['models', index, 'download'],
      `expected none for ${model.name}, whose engine is Python: its files belong into the image`,
    );
  } else if (entry.download && !describedFiles(source).every(({ urls }) => urls.some(isOfHttp))) {
    refuse(
      ['models', index, 'download'],
      `expected addresses of HTTP in source.urls of ${model.name}'s manifest, since workers have no pip; there are none`,
    );
  }
  const isOnGpu = runsOnGpu(model, values);
  if (isOnGpu === undefined) {
    refuse(
      ['models', index, 'name'],
      `expected a model for a device that the images have, cpu or cuda; its manifest says ${manifest.device.type}`,
    );
  }
  const together = { ...manifest.scaling, ...entry.scaling };
  const scaling = scalingSchema.safeParse(together);
  for (const issue of scaling.error?.issues ?? []) {
    refuse(
      ['models', index, 'scaling', ...issue.path.map(String)],
      `${issue.message}; with its manifest this is ${JSON.stringify(together)}`,
    );
  }
  const planned: PlannedModel = {
    model,
    name: workerName(model),
    scaling: scaling.data ?? manifest.scaling,
    isOnGpu: isOnGpu ?? false,
    cpu: entry.cpu,
    memoryMi: entry.memory === undefined ? memoryFor(model) : parseMemory(entry.memory),
    mayDownload: entry.download,
  };
  checkModel(planned, { values, index, refuse });
  return planned;
}

/**
 * Whether a model runs on a GPU: if its manifest says so, unless there are no machines with GPUs and it may
 * fall back to the CPU. Undefined if no container has its device.
 */
function runsOnGpu({ manifest }: Model, { nodes }: Values): boolean | undefined {
  const { type, fallback } = manifest.device;
  if (type === 'cpu') return false;
  if (type !== 'cuda' && type !== 'tensorrt') return undefined;
  if (nodes.gpu === undefined && fallback !== undefined) return false;
  // The image worker-gpu has no TensorRT.
  return type === 'tensorrt' && manifest.engine !== 'python' ? undefined : true;
}

/**
 * A worker takes 400 MB with a small model (measured). While it scores a suspect job it has the model
 * twice, and what a run needs beside the weights grows with them.
 */
function memoryFor({ manifest }: Model): number {
  const modelMi = describedBytes(manifest.source) / 1024 ** 2;
  const times = 1.5 + 2.5 * manifest.device.instances;
  return Math.ceil((768 + times * modelMi) / 128) * 128;
}

function checkApiMemory({ api }: Values, refuse: Refuse): void {
  const least = mebibytesToStart.api;
  if (parseMemory(api.memory) >= least) return;
  refuse(['api', 'memory'], `expected at least ${least}Mi, or no API can start`);
}

function checkNames(values: Values, models: readonly PlannedModel[], refuse: Refuse): void {
  for (const [at, { name, model }] of models.entries()) {
    const index = values.models.findLastIndex((entry) => entry.name === model.name);
    if (name.length > nameLengthMax) {
      refuse(
        ['models', index, 'name'],
        `expected a name and version that make a name of at most ${nameLengthMax} characters in Kubernetes; ${name} has ${name.length}`,
      );
    }
    const first = models.findIndex((other) => other.name === name);
    if (first < at) {
      refuse(
        ['models', index, 'name'],
        `expected each name once; ${models[first]?.model.name} and ${model.name} are both ${name} in Kubernetes`,
      );
    }
  }
}

function checkGpu(values: Values, models: readonly PlannedModel[], refuse: Refuse): void {
  const model = models.find(({ isOnGpu }) => isOnGpu);
  if (!model) return;
  const why = `because ${model.model.name} runs on a GPU`;
  if (!values.nodes.gpu) refuse(['nodes', 'gpu'], `expected the machines with GPUs, ${why}`);
  const isPythonAlone = models.every(({ isOnGpu, model }) => !isOnGpu || isProgram(model));
  if (!values.images.workerGpu && !isPythonAlone) {
    refuse(['images', 'workerGpu'], `expected an image, ${why}`);
  }
}

function checkPython(values: Values, models: readonly PlannedModel[], refuse: Refuse): void {
  const program = models.find(({ model }) => isProgram(model));
  if (!program) return;
  const why = `because ${program.model.name} is a Python program`;
  if (values.modelFolder.from === 'volume') {
    refuse(
      ['modelFolder', 'from'],
      `expected image, ${why}: the environment of its packages is made with the image worker-python, and a volume would hide it`,
    );
  }
  if (values.images.workerPython) return;
  refuse(['images', 'workerPython'], `expected an image, ${why}`);
}

function isProgram({ manifest }: Model): boolean {
  return manifest.engine === 'python';
}

function checkSettings(values: Values, refuse: Refuse): void {
  const given: [Role, Record<string, string>, string][] = [
    ['api', values.api.settings, 'api'],
    ['worker', values.workers.settings, 'workers'],
  ];
  for (const [role, settings, section] of given) {
    const known = describeConfiguration(role).map(({ key }) => key);
    for (const key of Object.keys(settings)) {
      if (!known.includes(key)) {
        refuse(
          [section, 'settings', key],
          'expected a key of docs/configuration.md; other variables belong into environment',
        );
      } else if (ownSettings.has(key)) {
        refuse(
          [section, 'settings', key],
          'expected a key that the manifests do not set themselves',
        );
      }
    }
    for (const { key, message } of findFaults(role, { ...settings, ...standIns(role, settings) })) {
      refuse([section, 'settings', key], message);
    }
  }
  const grpcPort = grpcPortOf(values);
  if (grpcPort !== undefined && grpcPort >= 0 && grpcPort < portMin) {
    refuse(
      ['api', 'settings', 'GRPC_PORT'],
      `expected a port from ${portMin} to 65535, which pods, Service and network policy can name`,
    );
  }
  if (grpcPort === sidePort) {
    refuse(['api', 'settings', 'GRPC_PORT'], 'expected another port than that of the metrics');
  }
  const { keysSecret, webhookSecret, settings } = values.api;
  if ((webhookSecret === undefined) === Boolean(settings.WEBHOOK_HOSTS)) {
    refuse(
      ['api', 'webhookSecret'],
      'expected the name of a Secret if, and only if, api.settings has WEBHOOK_HOSTS',
    );
  }
  if (keysSecret !== undefined && !settings.AUTH?.includes('keys')) {
    refuse(['api', 'keysSecret'], 'expected AUTH with keys in api.settings');
  }
}

/** Stands in for what the manifests add: the address, which others reach, and secrets that they only refer to. */
function standIns(role: Role, settings: Readonly<Record<string, string>>): Record<string, string> {
  return {
    ...(role === 'api' && { HOST: allAddresses }),
    ...(settings.WEBHOOK_HOSTS && {
      WEBHOOK_SECRETS: `whsec_${Buffer.alloc(24).toString('base64')}`,
    }),
  };
}

function checkTelemetry(values: Values, refuse: Refuse): void {
  if (values.telemetry.share === undefined) return;
  if (sendsTelemetry(values, 'api') || sendsTelemetry(values, 'worker')) return;
  refuse(
    ['telemetry', 'share'],
    'expected connectionStringSecret or otlp with it, because nothing is sent without a receiver',
  );
}

function checkAzure(values: Values, refuse: Refuse): void {
  const { entrance, azure } = values;
  if (entrance.kind === 'gateway' && 'keyVaultUri' in entrance.certificate && !azure) {
    refuse(['azure'], 'expected the identity that reads entrance.certificate from the Key Vault');
  }
}

function isOfHttp(url: string): boolean {
  return /^https?:/.test(url);
}
