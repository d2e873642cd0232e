import type { IncomingMessage } from 'node:http';
import type { ScorelineError } from '../../../shared/errors.js';
import type { Model } from '../../../shared/registry/models.js';
import type { Caller } from '../../access/caller.js';
import type { Slot } from '../../access/limiter.js';
import type { LimitFields } from '../../access/limits.js';
import type { Call } from '../../call/call.js';
import type { RequestTrace } from '../../traces/request-trace.js';

/** A request with what the gate has found out about it. */
export type GatedRequest = IncomingMessage & {
  /** Names it in its answer and in the log; see request-id.ts. */
  id?: string;
  /** Who sends it. */
  caller?: Caller;
  /** What the caller is told about its limits, if it has any. */
  limitFields?: LimitFields;
  /** Its place among the caller's requests in flight, if the caller has limits, until a call takes it over. */
  slot?: Slot | undefined;
  /** If it is to be scored. */
  call?: Call;
  /** The models that it may be for, if it is to be scored. */
  models?: readonly Model[];
  /** The error that it was answered with. */
  failure?: ScorelineError | undefined;
  /** Tells who wants to know of failures only that there is one. */
  reportFailure?: () => void;
  /** If it is traced. */
  trace?: RequestTrace | undefined;
};
