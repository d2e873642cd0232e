// The folder of models, with manifests and labels, which API and workers must agree on. The images bring
// it along by default; then an update of the images is an update of the models. A volume can replace it.

import type { IVolume } from 'kubernetes-models/v1/Volume';
import type { IVolumeMount } from 'kubernetes-models/v1/VolumeMount';
import type { Values } from './values.js';

/** Where the images have their models. */
const folder = '/models';

export function modelFolder({ modelFolder: source }: Values): {
  volumes: IVolume[];
  mounts: IVolumeMount[];
} {
  if (source.from === 'image') return { volumes: [], mounts: [] };
  const persistentVolumeClaim = { claimName: source.claim, readOnly: true };
  return {
    volumes: [{ name: 'models', persistentVolumeClaim }],
    mounts: [{ name: 'models', mountPath: folder, readOnly: true }],
  };
}
