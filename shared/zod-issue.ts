import type { z } from 'zod';

/**
 * Returns what an issue says was expected. Zod says it after a title of its own, and often what was received as
 * well, which its reader sees anyway.
 */
export function messageOf({ message }: Pick<z.core.$ZodIssue, 'message'>): string {
  const [, kinds] = /^Invalid discriminator value\. Expected (.*)$/.exec(message) ?? [];
  if (kinds !== undefined)
    return `expected ${kinds.replaceAll("'", '"').replaceAll(' | ', ' or ')}`;
  const [, expected] = /^[A-Z][a-z ]+: (expected .*?)(?:, received [\w ]+)?$/.exec(message) ?? [];
  return expected ?? message;
}
