// API keys that come from a Secret instead of Redis: it is mounted as a file, which the API reads again when
// the Secret changes.

import type { IEnvVar } from 'kubernetes-models/v1/EnvVar';
import type { IVolume } from 'kubernetes-models/v1/Volume';
import type { IVolumeMount } from 'kubernetes-models/v1/VolumeMount';
import type { Values } from './values.js';

const folder = '/run/api-keys';
const file = 'keys.yaml';

export function keysEnvironment({ api }: Values): IEnvVar[] {
  return api.keysSecret === undefined ? [] : [{ name: 'KEYS_FILE', value: `${folder}/${file}` }];
}

export function keysVolume({ api }: Values): { volumes: IVolume[]; mounts: IVolumeMount[] } {
  if (api.keysSecret === undefined) return { volumes: [], mounts: [] };
  return {
    volumes: [{ name: 'api-keys', secret: { secretName: api.keysSecret } }],
    mounts: [{ name: 'api-keys', mountPath: folder, readOnly: true }],
  };
}
