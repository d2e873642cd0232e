import type { z } from 'zod';

/**
 * Returns what an issue says was expected. Zod says it after a title of its own, and often what was received as
 * well, which its reader sees anyway.
 */
export function messageOf(issue: Pick<z.core.$ZodIssue, 'message'>): string {
  const { message } = issue;
  // What is wrong with the key of a record is an issue inside of this one.
  const [ofKey] = isOfKey(issue) ? issue.issues : [];
  if (ofKey) return messageOf(ofKey);
  const [, kinds] = /^Invalid discriminator value\. Expected (.*)$/.exec(message) ?? [];
  if (kinds !== undefined)
    return `expected ${kinds.replaceAll("'", '"').replaceAll(' | ', ' or ')}`;
  const [, expected] = /^[A-Z][a-z ]+: (expected .*?)(?:, received [\w ]+)?$/.exec(message) ?? [];
  return expected ?? message;
}

function isOfKey(issue: object): issue is z.core.$ZodIssueInvalidKey {
  return 'code' in issue && issue.code === 'invalid_key';
}
