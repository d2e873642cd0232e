// What the Open Inference Protocol says of the service and its models, in its own words. REST answers these
// objects as JSON, gRPC as messages of the same fields.

import type { DeclaredTensor } from '../../shared/manifest/network.js';
import type { Model } from '../../shared/registry/models.js';
import type { Registry } from '../../shared/registry/registry.js';
import { openShape } from '../../shared/tensors/network.js';
import type { Datatype } from '../../shared/tensors/tensors.js';
import { type Caller, catalogueOf } from '../access/caller.js';
import type { Readiness } from '../readiness.js';
import type { Duration, Statistics } from '../statistics.js';
import type { Rollout, Waiting } from '../versions/rollout.js';
import { networkOf } from './infer-request.js';
import { writeServed, writeSignature, writeWaiting } from './serving.js';

const platform = 'onnxruntime_onnx';

/** A model by name. Without a version, the first one counts. */
export interface ModelName {
  readonly name: string;
  readonly version?: string | undefined;
}

export type Description = ReturnType<typeof makeDescription>;

export function makeDescription(options: {
  registry: Registry;
  rollout: Pick<Rollout, 'waiting'>;
  readiness: Readiness;
  statistics: Pick<Statistics, 'of'>;
  rowsMax: number;
  version: string;
}) {
  const { registry, rollout, readiness, statistics, rowsMax, version } = options;

  const find = (caller: Caller, asked: ModelName): Model =>
    catalogueOf(caller, registry).find(asked.name, asked.version);

  return {
    ofServer: () => ({
      name: 'scoreline',
      version,
      extensions: [
        ...['binary_tensor_data', 'classification', 'parameters'],
        ...['model_configuration', 'model_repository', 'statistics'],
      ],
    }),

    /** @throws ScorelineError `model_not_found`, `network_undeclared` */
    ofModel(caller: Caller, asked: ModelName) {
      const model = find(caller, asked);
      const { models } = catalogueOf(caller, registry);
      const versions = models.filter(({ name }) => name === model.name).map((each) => each.version);
      const network = networkOf(model);
      const [inputs, outputs] = [network.inputs.map(show), network.outputs.map(show)];
      return { name: model.name, versions, platform, inputs, outputs };
    },

    /** @throws ScorelineError `model_not_found`, `network_undeclared` */
    configurationOf(caller: Caller, asked: ModelName) {
      const model = find(caller, asked);
      const { inputs, outputs } = networkOf(model);
      const hasRows = model.manifest.batch.dimension !== 'none';
      // Where there are rows, the protocol's own dimensions begin behind them.
      const toValue = (value: DeclaredTensor) => ({
        name: value.name,
        data_type: typeOf(value.datatype),
        dims: openShape(value).slice(hasRows ? 1 : 0),
      });
      return {
        name: model.name,
        platform,
        backend: 'onnxruntime',
        max_batch_size: hasRows ? rowsMax : 0,
        input: inputs.map(toValue),
        output: outputs.map(toValue),
        ...(hasRows && { dynamic_batching: {} }),
      };
    },

    /** @throws ScorelineError `model_not_found` */
    async isReady(caller: Caller, asked: ModelName): Promise<Ready> {
      const model = find(caller, asked);
      const { waiting } = rollout;
      return readyOf(model, await readiness.missing([model]), waiting);
    },

    /**
     * As TensorFlow Serving says it, and KServe in the fields that isReady() has. The version that answers is the first.
     * @throws ScorelineError `model_not_found`
     */
    async statusOf(caller: Caller, asked: ModelName) {
      const model = find(caller, asked);
      const isAsked = ({ name, version }: { name: string; version?: string | undefined }) =>
        name === model.name && (asked.version === undefined || version === asked.version);
      const { waiting } = rollout;
      const served = catalogueOf(caller, registry).models.filter(isAsked);
      const missing = await readiness.missing(served);
      // One that no worker can load is among those that wait.
      const states = [
        ...served
          .filter((each) => !(missing?.includes(each) && failureOf(each, waiting)))
          .map((each) => writeServed(each, missing?.includes(each))),
        ...waiting.filter(isAsked).map(writeWaiting),
      ];
      const isOther = ({ version }: { version: string }) => Number(version !== model.version);
      return {
        ...readyOf(model, missing, waiting),
        model_version_status: states.toSorted((a, b) => isOther(a) - isOther(b)),
      };
    },

    /** @throws ScorelineError `model_not_found`, `network_undeclared` */
    signatureOf: (caller: Caller, asked: ModelName) => writeSignature(find(caller, asked)),

    async index(caller: Caller, { isOnlyReady }: { isOnlyReady: boolean }) {
      const { models, leftOut } = catalogueOf(caller, registry);
      // Read before anything is awaited: a version that is served meanwhile would be in neither list.
      const { waiting } = rollout;
      const missing = await readiness.missing(models);
      // One that is served although no worker can load it is among those that wait, with the reason.
      const isBroken = (model: Model) => missing?.includes(model) && failureOf(model, waiting);
      const listed = models.filter((model) => !isBroken(model));
      const entries = [
        ...listed.map((model) => ({
          name: model.name,
          version: model.version,
          ...stateOf(missing?.includes(model)),
        })),
        ...waiting
          .filter(({ name }) => caller.models?.includes(name) ?? true)
          .map(({ name, version, state, code }) => ({
            ...{ name, version, state: 'UNAVAILABLE' },
            reason: code ?? state,
          })),
        // The reasons hold paths, so they are only in the log.
        ...leftOut
          .filter(({ isWaiting }) => !isWaiting)
          .map(({ name, version, error }) => ({
            ...{ name, version, state: 'UNAVAILABLE' },
            reason: error.code as string,
          })),
      ];
      return isOnlyReady ? entries.filter(({ state }) => state === 'READY') : entries;
    },

    /**
     * Of one model, or of all that the caller may know.
     * @throws ScorelineError `model_not_found`
     */
    statisticsOf(caller: Caller, asked?: ModelName) {
      const models = asked ? [find(caller, asked)] : catalogueOf(caller, registry).models;
      return { model_stats: models.map((model) => writeStatistics(model, statistics)) };
    },
  };
}

function show(value: DeclaredTensor) {
  return { ...value, shape: openShape(value) };
}

/** Returns why no worker can load a model. */
function failureOf(model: Model, waiting: readonly Waiting[]): Waiting | undefined {
  return waiting.find(
    ({ name, version, state }) =>
      state === 'failed' && name === model.name && version === model.version,
  );
}

interface Ready {
  readonly name: string;
  readonly ready: boolean;
  /** Why not. */
  readonly reason?: string | undefined;
}

/** @param missing which of the models have no worker; undefined without Redis */
function readyOf(
  model: Model,
  missing: readonly Model[] | undefined,
  waiting: readonly Waiting[],
): Ready {
  const { name } = model;
  const isMissing = missing?.includes(model);
  if (isMissing === false) return { name, ready: true };
  const reason = failureOf(model, waiting)?.code ?? stateOf(isMissing).reason;
  return { name, ready: false, reason };
}

function stateOf(isMissing: boolean | undefined): { state: string; reason: string } {
  if (isMissing === undefined) return { state: 'UNAVAILABLE', reason: 'Redis cannot be reached' };
  if (isMissing) return { state: 'UNAVAILABLE', reason: 'no worker yet' };
  return { state: 'READY', reason: '' };
}

/** Configurations have names of their own for datatypes. */
function typeOf(datatype: Datatype): string {
  return `TYPE_${datatype === 'BYTES' ? 'STRING' : datatype}`;
}

function writeStatistics(model: Model, statistics: Pick<Statistics, 'of'>) {
  const counted = statistics.of(model);
  const none = { count: 0, ns: 0 };
  return {
    name: model.name,
    version: model.version,
    last_inference: Math.round(counted.lastInferenceAt),
    inference_count: counted.inferences,
    execution_count: Math.round(counted.executions),
    inference_stats: {
      success: toNs(counted.success),
      fail: toNs(counted.fail),
      queue: toNs(counted.queue),
      compute_input: toNs(counted.computeInput),
      compute_infer: toNs(counted.computeInfer),
      compute_output: toNs(counted.computeOutput),
      cache_hit: toNs(counted.replayed),
      cache_miss: none,
    },
    batch_stats: [],
  };
}

function toNs({ count, ms }: Duration): { count: number; ns: number } {
  return { count, ns: Math.round(ms * 1e6) };
}
