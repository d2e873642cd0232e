// What an operator can do about a refused or failed request, by its code. Its client has been told its own part.

import { type ErrorCode, errorTable, type OverloadReason } from '../../shared/errors.js';

const byReason: Readonly<Record<OverloadReason, string>> = {
  permits: 'Add API instances, or raise PERMITS_MAX.',
  model_share: 'Add workers of the model, or raise PERMITS_MAX.',
  queue_full: 'Add workers of the model, or raise QUEUE_ITEMS_MAX.',
  redis_memory:
    'Add workers, raise the maxmemory of Redis, or lower QUEUE_ITEMS_MAX and RESULTS_BYTES_MAX.',
  wait_too_long: 'Add workers of the model.',
  bodies: 'Add API instances, or raise BODIES_BYTES_MAX.',
  results_full: 'Raise RESULTS_MAX, or keep results for less long.',
  caller_results_full:
    'The caller has its share of the kept results. Raise CALLER_RESULTS_PERCENT if it may have more.',
  caller_jobs_full:
    'The caller has as many jobs as it may have. Raise CALLER_JOBS_MAX if it may have more.',
  caller_share:
    'Other callers have room. Raise CALLER_PERMITS_PERCENT if this one may have more of it, or add API instances.',
  bulk_share: 'Bulk leaves room for others. Add API instances, or raise PERMITS_MAX.',
  webhooks_full:
    'Find the receivers that do not take their webhooks, or raise WEBHOOK_PENDING_MAX.',
  caller_webhooks_full:
    'The caller has its share of the pending webhooks to a host. Find out why its receiver does not take them, or raise WEBHOOK_PENDING_MAX.',
  event_streams: 'Add API instances, or raise EVENT_STREAMS_MAX.',
  repeats: 'The client should send a repeat only when it has given up the request before.',
};

const byCode: Partial<Record<ErrorCode, string>> = {
  rate_limited: 'The caller is over its limits. Raise them if it may have more.',
  concurrency_limited: 'The caller is over its limits. Raise them if it may have more.',
  model_load_failed: 'Look at the log of the workers for what is wrong with the version.',
  queue_unavailable:
    'Check that Redis runs, the network, and REDIS_URL; after a change of versions, that workers run.',
  queue_lost:
    'Find out why Redis lost its data. Keep an append-only file, and set maxmemory-policy noeviction.',
  issuer_unavailable: 'Check OIDC_ISSUER, and that this process reaches it.',
  shutting_down: 'None: another instance answers.',
  deadline_exceeded:
    'See where the time went, in the trace or the histograms of /metrics. Add workers, or raise the deadline.',
  client_closed: 'None, unless it is frequent: then clients wait for less long than answers take.',
  model_crashed: 'Find the input with its caller, and mend the model or refuse the input.',
  model_failed: 'Look at the log of the worker for the reason of the model.',
  model_output_mismatch: 'Run npm run models -- check.',
  wire_mismatch: 'Bring API and workers to the same release.',
  internal_error: 'Report this line: it is a bug.',
};

/** By class of status. */
const callerMust = 'None here: the caller must change the request, and was told how.';
const callerNeeds = 'Give the caller a key, token or scope that fits, if it may have one.';

export function adviceFor(code: ErrorCode, reason: OverloadReason | undefined): string {
  if (reason) return byReason[reason];
  const advice = byCode[code];
  if (advice) return advice;
  const { status } = errorTable[code];
  if (status === 401 || status === 403) return callerNeeds;
  return status < 500 ? callerMust : 'See docs/errors.md.';
}
