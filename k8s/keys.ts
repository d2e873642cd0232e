// API keys that come from a Secret instead of Redis: it is mounted as a file, which the API reads again when
// the Secret changes.

import type { IEnvVar } from 'kubernetes-models/v1/EnvVar';
import { type Mount, mountReadOnly, secretVolume } from './mounts.js';
import type { Values } from './values.js';

const folder = '/run/api-keys';
export const keysFile = 'keys.yaml';

export function keysEnvironment({ api }: Values): IEnvVar[] {
  return api.keysSecret === undefined
    ? []
    : [{ name: 'KEYS_FILE', value: `${folder}/${keysFile}` }];
}

export function mountKeys({ api }: Values): Mount[] {
  return mountReadOnly('api-keys', folder, secretVolume(api.keysSecret));
}
