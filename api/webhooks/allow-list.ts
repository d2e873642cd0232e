// Which addresses callers may name in `Webhook-Url`.
//
// Only hosts that the operator names are allowed, whose names say nothing about where they lead. So their addresses
// are checked with each attempt (checked-lookup.ts).

import type { WebhookHost } from '../../shared/configuration/webhooks.js';
import { ScorelineError } from '../../shared/errors.js';

const urlLengthMax = 2048;

/**
 * Returns the address of a webhook in its normal form.
 * @throws ScorelineError `webhook_invalid`, `webhook_not_allowed`
 */
export type CheckWebhookUrl = (text: string) => string;

export function makeCheckWebhookUrl(hosts: readonly WebhookHost[]): CheckWebhookUrl {
  const origins = new Set(hosts.map(({ origin }) => origin));
  return (text) => {
    const url = readUrl(text);
    if (origins.has(url.origin)) return url.href;
    throw new ScorelineError('webhook_not_allowed', whyNot(url, origins));
  };
}

function readUrl(text: string): URL {
  if (text.length > urlLengthMax) {
    throw invalid(`at most ${urlLengthMax} characters`, `${text.length}`);
  }
  // A field that is given twice arrives as one text with a blank in it.
  const url = !/[^!-~]/.test(text) && URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol)) {
    throw invalid(
      'one address such as https://hooks.example.com/scored, without blanks',
      show(text),
    );
  }
  // The text is not shown, because it has a password.
  if (url.username + url.password !== '') {
    throw invalid(
      'an address without a user and password, since the signature says who sends',
      'one with them',
    );
  }
  if (url.hash !== '' || text.includes('#')) {
    throw invalid('an address without a fragment, which is not sent', show(text));
  }
  return url;
}

function whyNot({ origin, protocol, host }: URL, origins: ReadonlySet<string>): string {
  if (origins.size === 0) {
    return 'Expected no Webhook-Url, because this service sends no webhooks. Ask its operator to allow the host in WEBHOOK_HOSTS, or ask for the job at its address.';
  }
  if (protocol === 'http:' && origins.has(`https://${host}`)) {
    return `Expected an address that begins with https://${host}; got ${show(origin)}. Webhooks to it go by HTTPS only.`;
  }
  return `Expected an address at a host, and a port, that the operator allows; got ${show(origin)}. Ask the operator to add it to WEBHOOK_HOSTS.`;
}

function invalid(expected: string, got: string): ScorelineError {
  return new ScorelineError(
    'webhook_invalid',
    `Expected the header Webhook-Url to be ${expected}; got ${got}.`,
  );
}

function show(text: string): string {
  return JSON.stringify(text.slice(0, 100));
}
