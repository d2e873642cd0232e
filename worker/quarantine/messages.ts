// What a worker and the process of its quarantine tell each other.

import type { Scored, ScorerItem } from '../batch/scorer.js';

/** First the folder of the model, then batches to be scored, one at a time. */
export type ToQuarantine = string | readonly ScorerItem[];

export type FromQuarantine =
  | { readonly event: 'ready' }
  | { readonly event: 'scored'; readonly results: Scored[] };
