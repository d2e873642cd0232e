import { ScorelineError } from '../../shared/errors.js';

/** The error for a request about what is measured, where nothing is. */
export function notMeasured(): ScorelineError {
  return new ScorelineError(
    'not_found',
    'Nothing is measured here, because METRICS_PORT is not set.',
  );
}
