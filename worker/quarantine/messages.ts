// Messages between a worker and the process of its quarantine.

import type { Scored, ScorerItem } from '../batch/scorer.js';

/** First the model: its folder, and its file, which may be elsewhere. Then batches, one at a time. */
export type ToQuarantine =
  | { readonly folder: string; readonly file: string }
  | readonly ScorerItem[];

/** `ready` once the model is loaded, then `scored` for each batch. */
export type FromQuarantine =
  | { readonly event: 'ready' }
  | { readonly event: 'scored'; readonly results: Scored[] };
