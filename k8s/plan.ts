// The plan of a cluster: the values, together with the models that they name.

import type { Scaling } from '../shared/manifest/scaling.js';
import type { Model } from '../shared/registry/models.js';
import type { Values } from './values.js';

export interface PlannedModel {
  readonly model: Model;
  /** The name of its Deployment and of all that belongs to it. */
  readonly name: string;
  readonly scaling: Scaling;
  readonly isOnGpu: boolean;
  readonly cpu: number;
  readonly memoryMi: number;
  readonly mayDownload: boolean;
}

export interface Plan {
  readonly values: Values;
  readonly models: readonly PlannedModel[];
}
