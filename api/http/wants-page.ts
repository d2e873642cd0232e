// Whether a request comes from a browser in which a person looks at an address.

import type { IncomingMessage } from 'node:http';

/** Programs that take anything, such as curl, do not ask for HTML by its name. */
export function wantsPage({ headers }: Pick<IncomingMessage, 'headers'>): boolean {
  return /\btext\/html\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))/i.test(headers.accept ?? '');
}
