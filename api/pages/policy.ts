// Content-Security-Policies of pages.

import { hash } from 'node:crypto';

/** Allows a page its own style, pictures inside it, and nothing else. */
export function policyFor(style: string): string {
  return policyOf(`style-src 'sha256-${hash('sha256', style, 'base64')}'`, 'img-src data:');
}

/** Allows a page what these directives say, and nothing else. */
export function policyOf(...directives: readonly string[]): string {
  const closed = ["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"];
  return ["default-src 'none'", ...directives, ...closed].join('; ');
}
