// The model that an address names.

import type { Request } from 'express';
import type { ModelName } from '../../inference/description.js';

export function nameOf({ params }: Pick<Request, 'params'>): ModelName {
  const { model, version } = params;
  return { name: String(model), version: version === undefined ? undefined : String(version) };
}
