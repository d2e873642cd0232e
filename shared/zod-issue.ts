import type { z } from 'zod';

/**
 * Returns what was expected, from the message of an issue. Zod puts a title before it, and often adds what was received,
 * which the reader sees anyway.
 */
export function messageOf(issue: Pick<z.core.$ZodIssue, 'message'>): string {
  const { message } = issue;
  // The issue of a record's key is inside of this one.
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
