// Messages between a worker and the process of its quarantine.

import type { Scored, ScorerItem } from '../batch/scorer.js';

/** First the model's folder, then batches to score, one at a time. */
export type ToQuarantine = string | readonly ScorerItem[];

/** `ready` once the model is loaded, then `scored` for each batch. */
export type FromQuarantine =
  | { readonly event: 'ready' }
  | { readonly event: 'scored'; readonly results: Scored[] };
