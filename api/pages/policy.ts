// The Content-Security-Policy of pages that are one answer.

import { hash } from 'node:crypto';

/** Allows a page its own style, pictures inside it, and nothing else. */
export function policyFor(style: string): string {
  const digest = hash('sha256', style, 'base64');
  return [
    "default-src 'none'",
    `style-src 'sha256-${digest}'`,
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}
