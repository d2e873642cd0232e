// Messages between a worker and the process of its quarantine.

import type { ErrorCode } from '../../shared/errors.js';
import type { Model } from '../../shared/registry/models.js';
import type { Scored, ScorerItem } from '../batch/scorer.js';

/**
 * First the worker's model, whole: what its folder says now may be another version. Then batches, one
 * at a time.
 */
export type ToQuarantine =
  | { readonly model: Model; readonly isTrial?: boolean }
  | readonly ScorerItem[];

/**
 * `ready` once the model is loaded, and warmed up in a trial, or `failed` if it cannot be. Then `scored` for each
 * batch. A trial whose engine is `lost` says why before it ends.
 */
export type FromQuarantine =
  | { readonly event: 'ready' }
  | { readonly event: 'failed'; readonly reason: string; readonly code?: ErrorCode | undefined }
  | { readonly event: 'lost'; readonly reason: string }
  | { readonly event: 'scored'; readonly results: Scored[] };
