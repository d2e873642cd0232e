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
  if (!agrees(given.model, name)) throw another('model', given.model, name);
  if (!agrees(given.version, version)) throw another('version', given.version, version);
}

function agrees(asked: unknown, is: string): boolean {
  return asked === undefined || asked === is || (typeof asked === 'number' && String(asked) === is);
}

function another(key: 'model' | 'version', asked: unknown, is: string): ScorelineError {
  return new ScorelineError(
    'parameter_invalid',
    `Expected no ${key} but ${shown(is)}, which this request is for; got ${shown(asked)}. Name a model and its version in the address: /v1/models/NAME/versions/VERSION/score, or /score?model=NAME.`,
  );
}
