// The calls of an API whose workers have nothing to do, for tests that read what is in flight.

import { Admission } from '../../api/admission/admission.js';
import { makeByteBudget } from '../../api/admission/byte-budget.js';
import { Calls } from '../../api/call/calls.js';
import { ScorelineError } from '../../shared/errors.js';

export function makeIdleCalls({ permitsMax = 10, bytesMax = 1000 } = {}) {
  const admission = new Admission({
    callerShare: 1,
    permitsMax,
    itemsMax: 1000,
    unansweredIn: () => undefined,
    countModels: () => 1,
    peers: { inFlight: () => 0, msFor: () => undefined },
    now: () => performance.now(),
  });
  const bodies = makeByteBudget(bytesMax);
  const whyLate = (phase: string) => new ScorelineError('deadline_exceeded', phase);
  return { admission, bodies, calls: new Calls({ admission, bodies, whyLate }) };
}
