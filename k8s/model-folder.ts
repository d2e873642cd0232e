// The folder of models, with manifests and labels, which API and workers must agree on. The images bring
// it along by default; then an update of the images is an update of the models. A volume can replace it.

import { type Mount, mountReadOnly } from './mounts.js';
import type { Values } from './values.js';

/** Where the images have their models. */
const folder = '/models';

export function mountModels({ modelFolder }: Values): Mount[] {
  if (modelFolder.from === 'image') return [];
  const persistentVolumeClaim = { claimName: modelFolder.claim, readOnly: true };
  return mountReadOnly('models', folder, { persistentVolumeClaim });
}
