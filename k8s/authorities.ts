// The private authorities whose certificates API and workers trust beside the public ones: those of the values, or
// else that of Redis. Node reads one file of them, so the values name Redis' authority among theirs.

import type { IEnvVar } from 'kubernetes-models/v1/EnvVar';
import type { IVolume } from 'kubernetes-models/v1/Volume';
import type { IVolumeMount } from 'kubernetes-models/v1/VolumeMount';
import { caKey, caSecretOf } from './redis-place.js';
import type { Values } from './values.js';

const folder = '/run/authorities';
const name = 'authorities';

export function authoritiesVolume(values: Values): { volumes: IVolume[]; mounts: IVolumeMount[] } {
  const source = sourceOf(values);
  if (!source) return { volumes: [], mounts: [] };
  return {
    volumes: [{ name, ...source }],
    mounts: [{ name, mountPath: folder, readOnly: true }],
  };
}

export function authoritiesEnvironment(values: Values): IEnvVar[] {
  return sourceOf(values) ? [{ name: 'NODE_EXTRA_CA_CERTS', value: `${folder}/${caKey}` }] : [];
}

function sourceOf(values: Values): Omit<IVolume, 'name'> | undefined {
  const { authoritiesConfigMap } = values;
  if (authoritiesConfigMap !== undefined) return { configMap: { name: authoritiesConfigMap } };
  const secretName = caSecretOf(values);
  return secretName === undefined ? undefined : { secret: { secretName } };
}
