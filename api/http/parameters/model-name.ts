// The model that an address names.

import type { Request } from 'express';
import { ScorelineError } from '../../../shared/errors.js';
import type { Model } from '../../../shared/registry/models.js';
import { shown } from '../../../shared/shown.js';
import type { ModelName } from '../../inference/description.js';
import type { Given } from './parameters.js';

export function nameOf({ params }: Pick<Request, 'params'>): ModelName {
  const { model, version } = params;
  return { name: String(model), version: version === undefined ? undefined : String(version) };
}

/**
 * Refuses a query or a body that names another model or version than the one that scores. Both are free to have what
 * nothing reads, but an answer of another model looks like the one that was asked for.
 * @throws ScorelineError `parameter_invalid`
 */
export function refuseOther(
  given: Given,
  { name, version }: Pick<Model, 'name' | 'version'>,
): void {
  const own = { model: name, version };
  for (const [key, is] of Object.entries(own)) {
    const asked = given[key];
    if (asked === undefined || asked === is) continue;
    if (typeof asked === 'number' && String(asked) === is) continue;
    throw new ScorelineError(
      'parameter_invalid',
      `Expected no ${key} but ${shown(is)}, which this request is for; got ${shown(asked)}. Name a model and its version in the address: /v1/models/NAME/versions/VERSION/score, or /score?model=NAME.`,
    );
  }
}
