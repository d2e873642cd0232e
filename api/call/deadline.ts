// What a client is told when its deadline passes.

import { ScorelineError } from '../../shared/errors.js';

/** What a call waits for: its body, the preparation of its inputs, or the workers. */
export type Phase = 'receiving' | 'preparing' | 'scoring';

const details: Readonly<Record<Phase, string>> = {
  receiving:
    'Expected the whole request before the deadline; its body had not arrived. Send it faster, or allow more time.',
  // Only images take long to prepare.
  preparing:
    'Expected an answer before the deadline; the image had not been decoded. Large images take long, and wait for each other: scale it down, ask again, or allow more time.',
  scoring:
    'Expected an answer before the deadline; none came. The workers are busy or have not started: ask again, or allow more time.',
};

export function deadlineExceeded(phase: Phase): ScorelineError {
  return new ScorelineError('deadline_exceeded', details[phase]);
}
