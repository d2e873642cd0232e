// What TensorFlow Serving says of a model: the states of its versions, and the signature of its network.

import type { DeclaredTensor } from '../../shared/manifest/network.js';
import type { Model } from '../../shared/registry/models.js';
import { openShape } from '../../shared/tensors/network.js';
import type { Datatype } from '../../shared/tensors/tensors.js';
import type { Waiting } from '../versions/rollout.js';
import { networkOf } from './infer-request.js';

export const servingStates = ['UNKNOWN', 'LOADING', 'AVAILABLE', 'END'] as const;
type ServingState = (typeof servingStates)[number];

/** @param missing which of the models have no worker; undefined without Redis */
export function writeServed({ version }: Model, isMissing: boolean | undefined) {
  if (isMissing === undefined) return status(version, 'UNKNOWN', 'Redis cannot be reached');
  return isMissing ? status(version, 'LOADING', 'no worker yet') : status(version, 'AVAILABLE');
}

/** Of a version that gets no requests. */
export function writeWaiting({ version, state, code }: Waiting) {
  return status(version, waitingStates[state], code);
}

const waitingStates: Readonly<Record<Waiting['state'], ServingState>> = {
  loading: 'LOADING',
  failed: 'END',
  unloaded: 'END',
};

function status(version: string, state: ServingState, fault = '') {
  const error_code = fault === '' ? 'OK' : 'UNAVAILABLE';
  return { version, state, status: { error_code, error_message: fault } };
}

/**
 * The inputs that `:predict` takes, and the outputs that it answers with.
 * @throws ScorelineError `network_undeclared`
 */
export function writeSignature(model: Model) {
  const { inputs, outputs } = networkOf(model);
  const { predict } = model.manifest;
  const answered = outputs.filter(({ name }) => name === (predict ?? name));
  const serving_default = {
    inputs: writeTensors(inputs),
    outputs: writeTensors(answered),
    method_name: 'tensorflow/serving/predict',
  };
  return {
    model_spec: { name: model.name, signature_name: '', version: model.version },
    metadata: { signature_def: { signature_def: { serving_default } } },
  };
}

function writeTensors(tensors: readonly DeclaredTensor[]) {
  return Object.fromEntries(
    tensors.map((tensor) => {
      const dim = openShape(tensor).map((size) => ({ size: String(size), name: '' }));
      const dtype = dtypes[tensor.datatype];
      return [
        tensor.name,
        { dtype, tensor_shape: { dim, unknown_rank: false }, name: tensor.name },
      ];
    }),
  );
}

const dtypes: Readonly<Record<Datatype, string>> = {
  BOOL: 'DT_BOOL',
  UINT8: 'DT_UINT8',
  UINT16: 'DT_UINT16',
  UINT32: 'DT_UINT32',
  UINT64: 'DT_UINT64',
  INT8: 'DT_INT8',
  INT16: 'DT_INT16',
  INT32: 'DT_INT32',
  INT64: 'DT_INT64',
  FP16: 'DT_HALF',
  FP32: 'DT_FLOAT',
  FP64: 'DT_DOUBLE',
  BYTES: 'DT_STRING',
};
