// The private authorities whose certificates API and workers trust beside the public ones: those of the values, or
// else that of Redis. Node reads one file of them, so the values name Redis' authority among theirs.

import type { IEnvVar } from 'kubernetes-models/v1/EnvVar';
import type { IVolume } from 'kubernetes-models/v1/Volume';
import { type Mount, mountReadOnly, secretVolume } from './mounts.js';
import { caKey, caSecretOf } from './redis-place.js';
import type { Values } from './values.js';

const folder = '/run/authorities';

export function mountAuthorities(values: Values): Mount[] {
  return mountReadOnly('authorities', folder, sourceOf(values));
}

export function authoritiesEnvironment(values: Values): IEnvVar[] {
  return sourceOf(values) ? [{ name: 'NODE_EXTRA_CA_CERTS', value: `${folder}/${caKey}` }] : [];
}

function sourceOf(values: Values): Omit<IVolume, 'name'> | undefined {
  const { authoritiesConfigMap: name } = values;
  return name === undefined ? secretVolume(caSecretOf(values)) : { configMap: { name } };
}
