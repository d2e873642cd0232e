// The request for the index of the model repository.

import { z } from 'zod';
import { ScorelineError } from '../../shared/errors.js';
import { messageOf } from '../../shared/zod-issue.js';

export const indexRequestSchema = z.object({
  ready: z.boolean().optional().describe('Whether to leave out models that are not ready.'),
});

/**
 * Reads a request, which may have no body.
 * @throws ScorelineError `input_invalid`
 */
export function readIndexRequest(body: unknown = {}): z.output<typeof indexRequestSchema> {
  const parsed = indexRequestSchema.safeParse(body);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new ScorelineError(
    'input_invalid',
    `Expected no body, or {"ready": true} for the models that are ready; got something else: ${issue ? messageOf(issue) : ''}.`,
  );
}
