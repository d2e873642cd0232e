// Volumes of a pod, and where its container has them.

import type { IVolume } from 'kubernetes-models/v1/Volume';
import type { IVolumeMount } from 'kubernetes-models/v1/VolumeMount';

export interface Mount {
  /** Undefined if a claim template of the pod's set makes it. */
  readonly volume?: IVolume;
  readonly mount: IVolumeMount;
}

/** Mounts what may only be read; nothing without a source. */
export function mountReadOnly(
  name: string,
  mountPath: string,
  source: Omit<IVolume, 'name'> | undefined,
): Mount[] {
  if (source === undefined) return [];
  return [{ volume: { name, ...source }, mount: { name, mountPath, readOnly: true } }];
}

/** The volume that a Secret is; undefined without a name. */
export function secretVolume(secretName: string | undefined): Omit<IVolume, 'name'> | undefined {
  return secretName === undefined ? undefined : { secret: { secretName } };
}
